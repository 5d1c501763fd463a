"""A table of images and captions: CSV, TSV, JSONL, and Kaggle's copies of Flickr8k and Flickr30k."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from looksay.data import splits, texts
from looksay.data.gathering import Gathering
from looksay.data.records import ReadOptions
from looksay.errors import DataError
from looksay.images import EXTENSIONS

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_JSON_LINES = (".jsonl", ".ndjson")
_KAGGLE = {  # file and header to what they are
    ("captions.txt", ("image", "caption")): "Flickr8k, Kaggle's layout",
    ("results.csv", ("image_name", "comment_number", "comment")): "Flickr30k, Kaggle's layout",
}
_DELIMITERS = ",\t;|"
# What people call their columns, the surest first; letters only, as image_name, Image Name and imageName are alike.
_IMAGE = (
    "image imagename imagefile imagepath filename filepath file path img imgname imgpath photo picture name imageid id"
)
_CAPTION = "caption captions text description sentence sentences comment reference references alttext alt raw title"
_SPLIT = "split subset partition"


@dataclass(frozen=True)
class _Columns:
    image: str
    captions: tuple[str, ...]
    split: str


Row = tuple[int, dict[str, Any]]


def read(folder: Path, options: ReadOptions) -> Gathering | None:
    """Read the table of a folder, or its tables named after their splits (train.csv, val.csv); None if it has none.

    Raises
    ------
    DataError
        If it is unclear which table is meant, or if one is broken.
    """
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS or file.name == "captions.txt"]
    files = files or [file for file in sorted(folder.glob("*/metadata.*")) if file.suffix.lower() in ENDINGS]
    if len(files) < 2:
        return read_file(files[0], folder, options) if files else None
    by_split = {split: file for file in files if (split := _split_of(file, folder))}
    if len(by_split) == len(files):
        found = Gathering(folder, f"tables {', '.join(str(file.relative_to(folder)) for file in files)}")
        for split, file in by_split.items():
            _take(found, file, options, split)
        return found
    kaggle = [file for file in files if any(file.name == name for name, _ in _KAGGLE)]
    if len(kaggle) == 1:
        return read_file(kaggle[0], folder, options)
    names = ", ".join(file.name for file in files)
    raise DataError(f"{folder} holds several tables: {names}; name the file of the one you mean")


def read_file(file: Path, folder: Path, options: ReadOptions) -> Gathering:
    """Read one table.

    Raises
    ------
    DataError
        If its columns are not recognised, or if a row is broken.
    """
    found = Gathering(folder, f"table {file.name}")
    _take(found, file, options, "")
    return found


def _split_of(file: Path, folder: Path) -> str:
    return splits.in_file_name(file.stem if file.parent == folder else file.parent.name)


def _take(found: Gathering, file: Path, options: ReadOptions, split: str) -> None:
    below = "" if file.parent == found.folder else f"{file.parent.name}/"
    rows = _json_rows(file) if file.suffix.lower() in _JSON_LINES else _delimited_rows(file, options, found)
    columns = None
    for line, row in rows:
        if columns is None:
            columns = _columns(list(row), options, file)
            found.layout = _KAGGLE.get((file.name, tuple(row))) or (
                f"{found.layout} (image: {columns.image}; caption: {', '.join(columns.captions)})"
            )
        place = f"{file.name}, line {line}"
        told = str(row.get(columns.split) or "") if columns.split else split
        if columns.split and not told:
            raise DataError(f"{place}: the column {columns.split} is empty; each picture needs a split, or none")
        name = str(row.get(columns.image) or "").strip()
        captions = [text for column in columns.captions for text in _captions(row.get(column), place)]
        found.add(below + name if name else "", captions, place, told)
    if columns is None:
        raise DataError(f"{file} has no rows")


def _captions(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _captions(each, place)
    elif isinstance(value, str) or value is None:
        yield value or ""
    else:
        raise DataError(f"{place}: expected a caption or a list of captions, got {value!r}")


def _columns(names: Sequence[str], options: ReadOptions, file: Path) -> _Columns:
    """Return the columns that are named in the options, or else guessed."""
    given = (options.image_column, options.caption_column, options.split_column)
    for name in filter(None, given):
        if name not in names:
            raise DataError(f"{file} has no column {name!r}; it has {', '.join(names)}")
    image = options.image_column or _guess(names, _IMAGE)
    captions = [options.caption_column] if options.caption_column else _guess_captions(names)
    if not (image and captions):
        wanted, words, option = ("captions", _CAPTION, "caption") if image else ("pictures", _IMAGE, "image")
        raise DataError(
            f"{file}: no column of {wanted} among {', '.join(names)}; looked for {words.replace(' ', ', ')}; "
            f"name it: --{option}-column NAME, or data.{option}_column=NAME to train"
        )
    return _Columns(image, tuple(captions), options.split_column or _guess(names, _SPLIT))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _guess(names: Sequence[str], words: str) -> str:
    plain = {_plain(name): name for name in reversed(names)}
    return next((plain[word] for word in words.split() if word in plain), "")


def _guess_captions(names: Sequence[str]) -> list[str]:
    """Return the column of captions, or those that are numbered: caption_1, caption_2."""
    numbered = [name for name in names if re.search(r"\d$", name) and _plain(name) in _CAPTION.split()]
    one = _guess([name for name in names if name not in numbered], _CAPTION)
    return [one] if one else numbered


def _json_rows(file: Path) -> Iterator[Row]:
    for number, line in texts.lines(file):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{file}, line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f'{file}, line {number}: expected {{"image": …, "caption": …}}, got {line[:80]}')
        yield number, row


def _delimited_rows(file: Path, options: ReadOptions, found: Gathering) -> Iterator[Row]:
    text = texts.read(file)
    delimiter = _delimiter(text, file, options)
    lines = io.StringIO(text, newline="")
    if delimiter == "|":  # as Kaggle's Flickr30k is written
        rows = csv.reader(lines, strict=True, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(lines, strict=True, delimiter=delimiter)
    header: list[str] = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not header and not _is_picture(cells):
                header = cells
                continue
            header = header or ["image", "caption"]
            if not any(cells):
                continue
            if delimiter == "|" and len(cells) == len(header) - 1 and (mended := re.match(r"(\d+)\s+(.+)", cells[-1])):
                found.problem("rows that lack a |, mended", f"{file.name}, line {rows.line_num}")  # Flickr30k has one
                cells[-1:] = mended.groups()
            if len(cells) != len(header):
                raise DataError(
                    f"{file}, line {rows.line_num}: {len(cells)} cells where the header has {len(header)}: {row}; "
                    "a caption with a comma in it stands in double quotes"
                )
            yield rows.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{file}, line {rows.line_num}: {error}; look at the double quotes there") from error


def _delimiter(text: str, file: Path, options: ReadOptions) -> str:
    """Return what parts the first line into columns that are known."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    parted = {each: [cell.strip(' "') for cell in first.split(each)] for each in _DELIMITERS}
    for each, cells in parted.items():
        if len(cells) > 1 and (_is_picture(cells) or _known(cells, options, file)):
            return each
    _columns(max(parted.values(), key=len), options, file)  # says what is missing
    raise DataError(f"{file} has no columns")


def _known(cells: Sequence[str], options: ReadOptions, file: Path) -> bool:
    try:
        return bool(_columns(cells, options, file))
    except DataError:
        return False


def _is_picture(cells: Sequence[str]) -> bool:
    """Is this a row of a picture and a caption, of a table without a header?"""
    return len(cells) == 2 and Path(cells[0]).suffix.lower() in EXTENSIONS
