"""Rows of images and captions in a file: CSV, TSV or JSONL."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from looksay.data import texts
from looksay.data.records import ReadOptions
from looksay.errors import DataError
from looksay.images import EXTENSIONS

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = ",\t;|"
# What people call their columns, the surest first; letters only, as image_name, Image Name and imageName are alike.
_IMAGE = "image imagename imagefile imagepath filename filepath file path img imgname imgpath photo picture imageid id"
_CAPTION = (
    "caption captions text description sentence sentences comment reference references alttext alt raw title "
    "prediction hypothesis generated output"
)
_SPLIT = "split subset partition"

Row = tuple[int, dict[str, Any]]


class Columns(NamedTuple):
    """The names of the columns that matter; `split` is empty where there is none."""

    image: str
    captions: tuple[str, ...]
    split: str


class Entry(NamedTuple):
    """What a row says: its place in the file, an image, its captions, its split, and the whole row."""

    place: str
    image: str
    captions: list[str]
    split: str
    row: dict[str, Any]


class Table:
    """The rows of a file.

    Parameters
    ----------
    file : Path
    options : ReadOptions

    Attributes
    ----------
    header : tuple of str
        All columns.
    columns : Columns
        Those named in the options, or guessed.
    mended : list of str
        The places of rows that were broken in a way that is known.

    Raises
    ------
    DataError
        If the columns are not recognised.
    """

    def __init__(self, file: Path, options: ReadOptions) -> None:
        self.file = file
        self.mended: list[str] = []
        self._rows: Iterable[Row]
        if file.suffix.lower() in _JSON_LINES:
            self._rows = rows = list(_json_rows(file))
            self.header = tuple(dict.fromkeys(name for _, row in rows for name in row))
        else:
            text = texts.read(file)
            delimiter = _delimiter(text, file, options)
            first = next(cells for _, cells in _parted(text, delimiter, file))
            self.header = ("image", "caption") if _is_picture(first) else tuple(first)
            self._rows = self._named(text, delimiter)
        self.columns = _columns(self.header, options, file)

    def __iter__(self) -> Iterator[Entry]:
        """Yield what the rows say.

        Raises
        ------
        DataError
            If one is broken, or if there is none.
        """
        empty = True
        for line, row in self._rows:
            empty = False
            place = f"{self.file.name}, line {line}"
            captions = [text for column in self.columns.captions for text in _captions(row.get(column), place)]
            image, split = row.get(self.columns.image), row.get(self.columns.split) if self.columns.split else None
            yield Entry(place, "" if image is None else str(image).strip(), captions, str(split or ""), row)
        if empty:
            raise DataError(f"{self.file} has no rows")

    def _named(self, text: str, delimiter: str) -> Iterator[Row]:
        for number, (line, cells) in enumerate(_parted(text, delimiter, self.file)):
            if number == 0 and tuple(cells) == self.header:
                continue
            lacks_one = delimiter == "|" and len(cells) == len(self.header) - 1
            if lacks_one and (found := re.match(r"(\d+)\s+(.+)", cells[-1])):  # one row of Kaggle's Flickr30k
                self.mended.append(f"{self.file.name}, line {line}")
                cells[-1:] = found.groups()
            if len(cells) != len(self.header):
                raise DataError(
                    f"{self.file}, line {line}: {len(cells)} cells where the header has {len(self.header)}: {cells}; "
                    "a caption with a comma in it stands in double quotes"
                )
            yield line, dict(zip(self.header, cells, strict=True))


def _parted(text: str, delimiter: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and cells of the rows that are not blank."""
    lines = io.StringIO(text, newline="")
    if delimiter == "|":  # as Kaggle's Flickr30k is written: a quote is a quote
        rows = csv.reader(lines, strict=True, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        for row in rows:
            if any(cells := [cell.strip() for cell in row]):
                yield rows.line_num, cells
    except csv.Error as error:
        raise DataError(f"{file}, line {rows.line_num}: {error}; look at the double quotes there") from error


def _json_rows(file: Path) -> Iterator[Row]:
    for number, line in texts.lines(file):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{file}, line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f'{file}, line {number}: expected {{"image": …, "caption": …}}, got {line[:80]}')
        yield number, row


def _captions(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _captions(each, place)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        raise DataError(f"{place}: expected a caption or a list of captions, got {value!r}")


def _delimiter(text: str, file: Path, options: ReadOptions) -> str:
    """Return what parts the first line into columns that are known."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    parted = {each: [cell.strip(' "') for cell in first.split(each)] for each in _DELIMITERS}
    for each, cells in parted.items():
        if len(cells) > 1 and (_is_picture(cells) or _known(cells, options, file)):
            return each
    _columns(max(parted.values(), key=len), options, file)  # says what is missing
    return ","


def _is_picture(cells: Sequence[str]) -> bool:
    """Is this a row of a picture and a caption, of a table without a header?"""
    return len(cells) == 2 and Path(cells[0]).suffix.lower() in EXTENSIONS


def _known(names: Sequence[str], options: ReadOptions, file: Path) -> bool:
    try:
        return bool(_columns(names, options, file))
    except DataError:
        return False


def _columns(names: Sequence[str], options: ReadOptions, file: Path) -> Columns:
    """Return the columns that are named in the options, or else guessed."""
    for name in filter(None, (options.image_column, options.caption_column, options.split_column)):
        if name not in names:
            raise DataError(f"{file} has no column {name!r}; it has {', '.join(names)}")
    image = options.image_column or _guess(names, _IMAGE)
    captions = [options.caption_column] if options.caption_column else _guess_captions(names)
    if not (image and captions):
        wanted, words, option = ("captions", _CAPTION, "caption") if image else ("pictures", _IMAGE, "image")
        raise DataError(
            f"{file}: no column of {wanted} among {', '.join(names) or 'none'}; looked for "
            f"{words.replace(' ', ', ')}; name it: --{option}-column NAME, or data.{option}_column=NAME to train"
        )
    return Columns(image, tuple(captions), options.split_column or _guess(names, _SPLIT))


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
