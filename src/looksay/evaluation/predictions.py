"""Captions that any system wrote, as a file → captions of a data set's images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from looksay.data import Dataset, ReadOptions, Record, text_files
from looksay.data.table_reader import ENDINGS, PREDICTIONS, Table
from looksay.errors import DataError

_ENDINGS = (*ENDINGS, ".json", ".txt", ".token")


@dataclass(frozen=True)
class Predictions:
    """Captions with the images that they are of.

    Attributes
    ----------
    records : list of Record
        The images of the split that have a caption, in the order of the data set.
    said : list of str
    problems : list of str
        What has no partner.
    """

    records: list[Record]
    said: list[str]
    problems: list[str]


def read(file: Path, dataset: Dataset, split: str, column: str = "") -> Predictions:
    """Read captions and find their images.

    Parameters
    ----------
    file : Path
        JSONL as ``looksay caption --format jsonl`` writes it, CSV or TSV with such columns, COCO's results
        (``[{"image_id": …, "caption": …}]``) or one JSON object of image to caption. An image is named by its path,
        its file name with or without ending, or the data set's own id.
    dataset : Dataset
    split : str
        Or ``all``.
    column : str
        That holds the captions; by default it is guessed from its name.

    Raises
    ------
    DataError
        If the file is broken, if an image has two captions, or if no caption is of an image of the split.
    """
    wanted = dataset.split(split)
    finder = _Finder(dataset.records, dataset.folder)
    said: dict[Record, str] = {}
    strangers, without = [], []
    for place, image, caption in _rows(file, column):
        record = finder.find(image, place)
        if record is None:
            strangers.append(f"{place}: {image}")
        elif caption is None:
            without.append(f"{place}: {image}")
        elif record in said:
            raise DataError(f"{place}: {image} has a caption already; one caption an image can be scored")
        else:
            said[record] = caption
    records = [record for record in wanted if record in said]
    if not records:
        unknown = f"; {text_files.counted('captions of images that are not there', strangers)}" if strangers else ""
        raise DataError(f"{file}: no caption is of an image of the {split} split of {dataset.folder}{unknown}")
    elsewhere, missing = len(said) - len(records), len(wanted) - len(records)
    problems = [
        text_files.counted(kind, places)
        for kind, places in (
            ("captions of images that are not in the references, not scored", strangers),
            ("images without a caption, not scored", without),
            ("captions whose image was found by its file name alone", finder.by_name_alone),
        )
        if places
    ]
    if elsewhere:
        problems.append(f"captions of other splits, not scored: {elsewhere:,}")
    if missing:
        problems.append(f"images of the split without a caption, not scored: {missing:,} of {len(wanted):,}")
    return Predictions(records, [said[record] for record in records], problems)


_Names = dict[str, Record | None]  # None where several have the name


class _Finder:
    """Finds an image by what a system may call it.

    The data set's own id comes first, then the path, then the file's name and its stem; so that no number in a name is
    taken for an id where there are ids.
    """

    def __init__(self, records: Sequence[Record], folder: Path) -> None:
        self.by_name_alone: list[str] = []
        self._maps: tuple[_Names, _Names, _Names, _Names] = ({}, {}, {}, {})
        ids, paths, names, stems = self._maps
        for record in records:
            path = record.image
            below = PurePosixPath(path.relative_to(folder) if path.is_relative_to(folder) else path)
            _note(ids, record.id or _cocos_number(path.stem), record)
            for name in {str(path), str(path.absolute()), str(below)}:
                _note(paths, name, record)
            _note(names, path.name, record)
            _note(stems, path.stem, record)

    def find(self, image: str, place: str) -> Record | None:
        """Return the image, or None if there is none of that name."""
        ids, paths, names, stems = self._maps
        path = PurePosixPath(image.replace("\\", "/"))
        asked = [(ids, image), (paths, image), (paths, str(Path(image).absolute()))]
        asked += [(paths, str(PurePosixPath(*path.parts[start:]))) for start in range(1, len(path.parts) - 1)]
        asked += [(names, path.name), (stems, path.name)]
        for known, name in asked:
            if name in known:
                if (record := known[name]) is None:
                    raise DataError(f"{place}: {image} is the name of several images; name it by its path")
                if known is not ids and known is not paths and len(path.parts) > 1:
                    self.by_name_alone.append(f"{place}: {image}")
                return record
        return None


def _note(known: _Names, name: str, record: Record) -> None:
    """Remember what a record is called."""
    known[name] = record if known.get(name, record) is record else None


def _cocos_number(stem: str) -> str:
    """Return the id in COCO's file names, ``COCO_val2014_000000391895`` or ``000000391895``; or nothing."""
    found = re.fullmatch(r"(?:COCO_\w+_)?(\d{6,})", stem)
    return str(int(found[1])) if found else ""


def _rows(file: Path, column: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield place, image and caption; the caption is None where there is none."""
    if not file.is_file():
        raise DataError(f"{file}: there is no such file; it should hold the captions to be scored")
    if file.suffix.lower() not in _ENDINGS:
        raise DataError(f"{file}: looksay scores captions in {', '.join(_ENDINGS)} files")
    for entry in Table(file, ReadOptions(caption_column=column), PREDICTIONS):
        if len(entry.captions) > 1:
            raise DataError(f"{entry.place}: {len(entry.captions)} captions; one caption an image can be scored")
        failed = not entry.captions or entry.row.get("error")  # as looksay caption tells of unreadable images
        yield entry.place, entry.image, None if failed else entry.captions[0]
