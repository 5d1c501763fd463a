"""Captions of any system in a file, matched with the images of a data set."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from looksay.data import Dataset, ReadOptions, Record, table_reader, text_files
from looksay.data.records import number_of
from looksay.data.table_reader import PREDICTIONS, SUFFIXES
from looksay.errors import DataError

_SUFFIXES = (*SUFFIXES, ".json", ".txt", ".token")


@dataclass(frozen=True)
class Predictions:
    """Images of a split that have a caption, in the order of the data set, their captions, and what did not match."""

    records: list[Record]
    captions: list[str]
    problems: list[str]


def read(file: Path, dataset: Dataset, split: str, column: str = "") -> Predictions:
    """Read captions and match them with images.

    Parameters
    ----------
    file : Path
        JSONL as ``looksay caption --format jsonl`` writes it, CSV or TSV with such columns, COCO's results
        (``[{"image_id": …, "caption": …}]``) or one JSON object of image to caption. An image is identified by its
        path, its file name with or without suffix, or the data set's own id.
    dataset, split
        The images; the split may be ``all``.
    column : str
        Column of the captions; by default it is guessed from its name.

    Raises
    ------
    DataError
        If the file is broken, if an image has two different captions, or if no caption is of an image of the split.
    """
    records = dataset.split(split)
    matcher = _ImageMatcher(dataset.records, dataset.folder)
    caption_of: dict[Record, str] = {}
    unmatched, without_caption = [], []
    for place, image, caption in _rows(file, column):
        record = matcher.find(image, place)
        if record is None:
            unmatched.append(f"{place}: {image}")
        elif caption is None:
            without_caption.append(f"{place}: {image}")
        elif caption_of.setdefault(record, caption) != caption:  # the same caption twice does not matter
            raise DataError(f"{place}: {image} has a second caption; keep one caption for each image")
    captioned = [record for record in records if record in caption_of]
    if not captioned:
        details = f"; {text_files.describe_problem('captions of unknown images', unmatched)}" if unmatched else ""
        raise DataError(f"{file}: no caption is of an image of the {split} split of {dataset.folder}{details}")
    places_of = {
        "captions of images that are not in the references, not scored": unmatched,
        "images without a caption, not scored": without_caption,
        "captions whose image was matched by its file name only": matcher.matched_by_file_name,
    }
    problems = [text_files.describe_problem(kind, places) for kind, places in places_of.items() if places]
    other_splits, missing = len(caption_of) - len(captioned), len(records) - len(captioned)
    if other_splits:
        problems.append(f"captions of other splits, not scored: {other_splits:,}")
    if missing:
        problems.append(f"images of the split without a caption, not scored: {missing:,} of {len(records):,}")
    return Predictions(captioned, [caption_of[record] for record in captioned], problems)


class _ImageMatcher:
    """Finds an image by its id in the data set, its path, file name or stem, or the number of its id, in this order.

    Ids come first so that a number in a file name is not mistaken for an id.
    """

    def __init__(self, records: Sequence[Record], folder: Path) -> None:
        self.matched_by_file_name: list[str] = []
        self._records: dict[tuple[str, str], Record | None] = {}  # by kind and name; None for a name of several images
        for record in records:
            path = record.image
            relative = PurePosixPath(path.relative_to(folder) if path.is_relative_to(folder) else path)
            keys = {("path", name) for name in (str(path), str(path.absolute()), str(relative))}
            keys |= {("id", record.id), ("name", path.name), ("stem", path.stem)}
            keys.add(("number", number_of(record.id or path.stem)))
            keys -= {("id", ""), ("number", "")}
            for key in map(_normalise, keys):
                self._records[key] = record if self._records.get(key, record) is record else None

    def find(self, image: str, place: str) -> Record | None:
        """Return the image of that name, or None; a name of several images is an error."""
        path = PurePosixPath(image.replace("\\", "/"))
        keys = [("id", image), ("path", image), ("path", str(Path(image).absolute()))]
        keys += [("path", str(PurePosixPath(*path.parts[start:]))) for start in range(1, len(path.parts) - 1)]
        keys += [("name", path.name), ("stem", path.name), ("number", number_of(image))]
        key = next((key for key in map(_normalise, keys) if key in self._records), None)
        if key is None:
            return None
        if (record := self._records[key]) is None:
            raise DataError(f"{place}: {image} is the name of several images; use its path")
        if key[0] in ("name", "stem") and len(path.parts) > 1:
            self.matched_by_file_name.append(f"{place}: {image}")
        return record


def _normalise(key: tuple[str, str]) -> tuple[str, str]:
    """Return a name with composed letters: macOS writes é as e and an accent."""
    return key[0], unicodedata.normalize("NFC", key[1])


def _rows(file: Path, column: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield place, image and caption; the caption is None if there is none."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; name the file of captions to score")
    if file.suffix.lower() not in (*_SUFFIXES, *text_files.SHEETS):
        raise DataError(f"{file}: unknown file type; captions are scored from {', '.join(_SUFFIXES)} files")
    previous = ""
    for row in table_reader.read(file, ReadOptions(caption_column=(column,) if column else ()), PREDICTIONS).rows:
        if len(row.captions) > 1:
            raise DataError(f"{row.place}: {len(row.captions)} captions; keep one caption for each image")
        if row.values.get("made_by") and row.image == previous:  # looksay writes the best caption first
            continue
        previous = row.image
        has_caption = row.captions and not row.values.get("error")  # looksay caption writes errors of images
        yield row.place, row.image, row.captions[0] if has_caption else None
