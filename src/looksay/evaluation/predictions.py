"""Captions that any system wrote, as a file → captions of a data set's pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from looksay.data import Dataset, ReadOptions, Record, texts
from looksay.data.rows import ENDINGS, Table
from looksay.errors import DataError

_PLACES = 5
_IMAGE = ("image_id", "image", "file_name", "filename")


@dataclass(frozen=True)
class Predictions:
    """Captions with the pictures that they are of.

    Attributes
    ----------
    records : list of Record
        The pictures of the split that have a caption, in the order of the data set.
    said : list of str
    problems : list of str
        What has no partner.
    """

    records: list[Record]
    said: list[str]
    problems: list[str]


def read(file: Path, dataset: Dataset, split: str) -> Predictions:
    """Read captions and find their pictures.

    Parameters
    ----------
    file : Path
        JSONL as ``looksay caption --format jsonl`` writes it, CSV or TSV with such columns, COCO's results
        (``[{"image_id": …, "caption": …}]``) or one JSON object of image to caption. An image is named by its path,
        its file name with or without ending, or the data set's own id.
    dataset : Dataset
    split : str
        Or ``all``.

    Raises
    ------
    DataError
        If the file is broken, if a picture has two captions, or if no caption is of a picture of the split.
    """
    everything = list(dataset.records)
    wanted = everything if split == "all" else dataset.split(split)
    finder = _Finder(everything, dataset.folder)
    said: dict[Record, str] = {}
    strangers, without = [], []
    for place, image, caption in _rows(file):
        record = finder.find(image, place)
        if record is None:
            strangers.append(f"{place}: {image}")
        elif caption is None:
            without.append(f"{place}: {image}")
        elif record in said:
            raise DataError(f"{place}: {image} has a caption already; one caption a picture can be scored")
        else:
            said[record] = caption
    records = [record for record in wanted if record in said]
    if not records:
        raise DataError(
            f"{file}: none of its {len(said) + len(strangers)} captions is of a picture of the {split} split of "
            f"{dataset.folder}{_told(strangers, '; it names pictures that are not there')}"
        )
    elsewhere = len(said) - len(records)
    problems = [
        _told(strangers, "captions of pictures that are not in the references, not scored"),
        _told(without, "pictures without a caption, not scored"),
        f"captions of other splits, not scored: {elsewhere:,}" if elsewhere else "",
        f"pictures of the split without a caption, not scored: {len(wanted) - len(records):,} of {len(wanted):,}"
        if len(records) < len(wanted)
        else "",
    ]
    return Predictions(records, [said[record] for record in records], [each for each in problems if each])


def _told(places: Sequence[str], kind: str) -> str:
    more = "; …" if len(places) > _PLACES else ""
    return f"{kind}: {len(places):,} ({'; '.join(places[:_PLACES])}{more})" if places else ""


class _Finder:
    """Finds a picture by what a system may call it."""

    def __init__(self, records: Sequence[Record], folder: Path) -> None:
        self._found: dict[str, Record | None] = {}
        own: dict[str, Record | None] = {}
        for record in records:
            path = record.image
            names = {str(path), str(path.resolve()), _below(path, folder), path.name, path.stem}
            numbers = {record.id, *(str(int(digits)) for digits in re.findall(r"\d+$", path.stem))} - {""}
            for name in names:
                own[name] = None if own.get(name, record) is not record else record
            for number in numbers:
                self._found[number] = None if self._found.get(number, record) is not record else record
        self._found |= own

    def find(self, image: str, place: str) -> Record | None:
        """Return the picture, or None if there is none of that name."""
        for name in (image, Path(image).name, str(Path(image).resolve()) if "/" in image else image):
            if name in self._found:
                if (record := self._found[name]) is None:
                    raise DataError(f"{place}: {image} is the name of several pictures; name it by its path")
                return record
        return None


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _rows(file: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield place, image and caption; the caption is None where there is none."""
    if not file.is_file():
        raise DataError(f"{file}: there is no such file; it should hold the captions to be scored")
    if file.suffix.lower() == ".json":
        yield from _json_rows(file)
        return
    if file.suffix.lower() not in ENDINGS:
        raise DataError(f"{file}: looksay scores captions in {', '.join(ENDINGS)} files and in COCO's .json")
    for entry in Table(file, ReadOptions()):
        if len(entry.captions) > 1:
            raise DataError(f"{entry.place}: {len(entry.captions)} captions; one caption a picture can be scored")
        failed = not entry.captions or entry.row.get("error")  # as looksay caption tells of unreadable pictures
        yield entry.place, entry.image, None if failed else entry.captions[0]


def _json_rows(file: Path) -> Iterator[tuple[str, str, str | None]]:
    content = texts.json_value(file)
    if isinstance(content, dict):
        content = [{"image_id": image, "caption": caption} for image, caption in content.items()]
    if not isinstance(content, list):
        raise DataError(f'{file}: expected COCO\'s results, [{{"image_id": …, "caption": …}}, …]')
    for number, row in enumerate(content):
        place = f"{file.name}, [{number}]"
        values = row if isinstance(row, dict) else {}
        image = next((values[key] for key in _IMAGE if key in values), None)
        caption = values.get("caption")
        if isinstance(caption, list) and len(caption) == 1:  # as pycocoevalcap takes them
            caption = caption[0]
        if image is None or not isinstance(caption, str):
            got = json.dumps(row, ensure_ascii=False)[:80]
            raise DataError(f'{place}: expected {{"image_id": …, "caption": …}}, got {got}')
        yield place, str(image), caption
