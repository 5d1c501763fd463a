"""Flickr8k, in the layout of its authors and in Kaggle's."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import defaultdict
from pathlib import Path

from looksay.data.records import Dataset, Record
from looksay.errors import DataError

TOKENS = "Flickr8k.token.txt"
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
TABLE = "captions.txt"
_TEXT_FOLDERS = (".", "Flickr8k_text")
_IMAGE_FOLDERS = ("Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "images")
_COPY_MARK = re.compile(r"\.\d+$")  # the official file names one picture 2258277193_586949ec62.jpg.1


def read_original(folder: Path) -> Dataset | None:
    """Read ``Flickr8k.token.txt`` and the official lists; None if they are not there.

    Raises
    ------
    DataError
        If a line is broken, a listed picture has no caption, or the pictures' folder is missing.
    """
    text = next((folder / name for name in _TEXT_FOLDERS if (folder / name / TOKENS).is_file()), None)
    if text is None or not (text / LISTS["train"]).is_file():
        return None
    captions: dict[str, list[str]] = defaultdict(list)
    for number, line in _lines(text / TOKENS):
        key, tab, caption = line.partition("\t")
        name, mark, _ = key.rpartition("#")
        if not (tab and mark and caption.strip()):
            raise DataError(f"{text / TOKENS}, line {number}: expected NAME.jpg#0, a tab and a caption; got {line!r}")
        captions[_COPY_MARK.sub("", name)].append(caption.strip())
    images = _image_folder(folder)
    records: dict[str, Record] = {}
    for split, file in LISTS.items():
        for _, name in _lines(text / file) if (text / file).is_file() else []:
            if name not in captions:
                raise DataError(f"{text / file} lists {name}, which has no caption in {TOKENS}")
            if name in records:
                raise DataError(f"{text / file} lists {name}, which is in the {records[name].split} split already")
            records[name] = Record(_inside(images, name), tuple(captions[name]), split)
    unlisted = len(captions) - len(records)
    problem = f"{unlisted} pictures have captions but are in none of the lists that are here"
    return Dataset(folder, "Flickr8k, original layout", tuple(records.values()), (problem,) if unlisted else ())


def read_kaggle(folder: Path) -> Dataset | None:
    """Read Kaggle's ``captions.txt`` (a CSV of image and caption); None if it is not there.

    This layout has no lists, so a picture's split is drawn from its name: 6/8 train, 1/8 val and 1/8 test, the same
    on every machine and whatever other pictures there are. They are not the official splits.

    Raises
    ------
    DataError
        If a row is broken or the pictures' folder is missing.
    """
    table = folder / TABLE
    if not table.is_file():
        return None
    rows = csv.reader(io.StringIO(_text(table), newline=""), strict=True)
    captions: dict[str, list[str]] = defaultdict(list)
    try:
        if [cell.strip() for cell in next(rows, [])] != ["image", "caption"]:
            raise DataError(f"{table}, line 1: expected the header image,caption")
        for row in rows:
            if row and (len(row) != 2 or not row[1].strip()):
                raise DataError(f"{table}, line {rows.line_num}: expected an image and a caption; got {row}")
            if row:
                captions[row[0].strip()].append(row[1].strip())
    except csv.Error as error:
        raise DataError(f"{table}, line {rows.line_num}: {error}") from error
    images = _image_folder(folder)
    records = tuple(Record(_inside(images, name), tuple(said), _drawn_split(name)) for name, said in captions.items())
    return Dataset(folder, "Flickr8k, Kaggle's layout (splits drawn, not official)", records)


def _text(path: Path) -> str:
    """Return a text with or without BOM."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}; save it as UTF-8") from error


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the numbers and texts of the lines that are not blank, whatever the line ends."""
    return [(number, line.strip()) for number, line in enumerate(_text(path).split("\n"), 1) if line.strip()]


def _inside(images: Path, name: str) -> Path:
    """Return the path of a picture, which a data set from anywhere must not name outside its own folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"the picture {name!r} would lie outside {images}")
    return images / name


def _image_folder(folder: Path) -> Path:
    for name in _IMAGE_FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    raise DataError(f"{folder} has captions but no pictures: looked for the folders {', '.join(_IMAGE_FOLDERS)}")


def _drawn_split(name: str) -> str:
    eighth = hashlib.sha256(name.encode()).digest()[0] % 8
    return {6: "val", 7: "test"}.get(eighth, "train")
