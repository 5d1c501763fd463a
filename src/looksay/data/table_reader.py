"""Rows of images and captions in a file: CSV, TSV, JSONL or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from looksay.data import splits, text_files
from looksay.data.records import ReadOptions
from looksay.errors import DataError
from looksay.images import EXTENSIONS

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
_JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "|"}
# What people call their columns, the surest first; letters only, as image_name, Image Name and imageName are alike.
_IMAGE = "image imagename imagefile imagepath filename filepath file path img imgname imgpath photo image imageid id"
_NUMBER = re.compile(r"#\d+$")  # of a caption, in Flickr's own files: NAME.jpg#0
_SPLIT = "split subset partition"
_MAYBE_SPLIT = "set part phase fold"  # if the first row holds the name of a split

Row = tuple[str, dict[str, Any]]  # where it stands, what it holds


class Wanted(NamedTuple):
    """What a table is read for: names of its column of captions, the surest first, and what to do if none is there."""

    captions: str
    advice: str


REFERENCES = Wanted(
    "caption captions text description sentence sentences comment reference references alttext alt raw title",
    "name it: --{0}-column NAME, or data.{0}_column=NAME to train",
)
MADE_BY = "made_by"
"""What the first row of ``looksay caption --output`` has, beside ``looksay``; it is about the other rows."""

PREDICTIONS = Wanted(
    "prediction predictions hypothesis generated output caption captions text description sentence",
    "call it {0}, or name the column of captions: --prediction-column NAME",
)


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
    wanted : Wanted

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

    def __init__(self, file: Path, options: ReadOptions, wanted: Wanted = REFERENCES) -> None:
        self.file = file
        self.mended: list[str] = []
        rows: Iterable[Row]
        if file.suffix.lower() == ".json":
            rows = list(_json_rows(file))
            self.header = _names(rows, file)
        elif file.suffix.lower() in _JSON_LINES:
            rows = list(_json_lines(file))
            self.header = _names(rows, file)
        else:
            text = text_files.read(file)
            delimiter = _delimiter(text, file, options, wanted)
            first = next(cells for _, cells in _parted(text, delimiter, file))
            self._has_header = not _is_image(first)
            self.header = tuple(first) if self._has_header else ("image", "caption")
            rows = self._named(text, delimiter)
        rows = iter(rows)
        start = list(islice(rows, 1))
        self.columns = _columns(self.header, start[0][1] if start else {}, options, file, wanted)
        self._rows = chain(start, rows)

    def __iter__(self) -> Iterator[Entry]:
        """Yield what the rows say, once.

        Raises
        ------
        DataError
            If one is broken, or if there is none.
        """
        empty = True
        for place, row in self._rows:
            empty = False
            captions = [text for column in self.columns.captions for text in _captions(row.get(column), place)]
            if len(self.columns.captions) > 1:  # an image may have fewer than others
                captions = [caption for caption in captions if caption.strip()]
            image, split = row.get(self.columns.image), row.get(self.columns.split) if self.columns.split else None
            if not isinstance(image, str | int | None):
                raise DataError(f"{place}: expected the name of an image, got {image!r}")
            yield Entry(place, "" if image is None else str(image).strip(), captions, str(split or ""), row)
        if empty:
            raise DataError(f"{self.file} has no rows")

    def _named(self, text: str, delimiter: str) -> Iterator[Row]:
        for number, (line, cells) in enumerate(_parted(text, delimiter, self.file)):
            place = f"{self.file.name}, line {line}"
            if self._has_header and number == 0:
                continue
            if not self._has_header:
                cells[0] = _NUMBER.sub("", cells[0])
            lacks_one = delimiter == "|" and len(cells) == len(self.header) - 1
            if lacks_one and (found := re.match(r"(\d+)\s+(.+)", cells[-1])):  # one row of Kaggle's Flickr30k
                self.mended.append(place)
                cells[-1:] = found.groups()
            if len(cells) != len(self.header):
                mark = _DELIMITERS[delimiter]
                quotes = f"; a caption with a {mark} in it stands in double quotes" * (len(cells) > len(self.header))
                raise DataError(
                    f"{self.file}, line {line}: {len(cells)} cells, parted by {mark}, where the header has "
                    f"{len(self.header)}: {cells}{quotes}"
                )
            yield place, dict(zip(self.header, cells, strict=True))


def _names(rows: Sequence[Row], file: Path) -> tuple[str, ...]:
    if not rows:
        raise DataError(f"{file} has no rows")
    return tuple(dict.fromkeys(name for _, row in rows for name in row))


def _parted(text: str, delimiter: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and cells of the rows that are not blank."""
    lines = io.StringIO(text, newline="")
    if delimiter == "|":  # as Kaggle's Flickr30k is written: a quote is a quote
        rows = csv.reader(lines, strict=True, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(lines, strict=True, delimiter=delimiter, skipinitialspace=True)
    before = 0
    try:
        for row in rows:
            if any(cells := [cell.strip() for cell in row]):
                yield rows.line_num, cells
            before = rows.line_num
    except csv.Error as error:
        unclosed = "end of data" in str(error)
        what = "a double quote is opened and never closed" if unclosed else f"look at the double quotes: {error}"
        raise DataError(f"{file}, line {before + 1}: {what}") from error


def _json_rows(file: Path) -> Iterator[Row]:
    """Yield the objects of a list, as COCO's results are, or of one object of image to caption."""
    content = text_files.json_value(text_files.read(file), str(file))
    if isinstance(content, dict) and all(isinstance(value, str | list | None) for value in content.values()):
        content = [{"image": image, "caption": caption} for image, caption in content.items()]
    if not isinstance(content, list):
        raise DataError(f'{file}: expected a list, [{{"image_id": …, "caption": …}}, …], or {{image: caption, …}}')
    for number, row in enumerate(content):
        yield f"{file.name}, [{number}]", _object(row, f"{file}, [{number}]")


def _json_lines(file: Path) -> Iterator[Row]:
    for number, line in text_files.lines(file):
        place = f"line {number}"
        row = _object(text_files.json_value(line, f"{file}, {place}"), f"{file}, {place}")
        if not (MADE_BY in row and "looksay" in row and "image" not in row):
            yield f"{file.name}, {place}", row


def _object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        got = json.dumps(row, ensure_ascii=False)[:80]
        raise DataError(f'{place}: expected {{"image": …, "caption": …}}, got {got}')
    return row


def _captions(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _captions(each, place)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        raise DataError(f"{place}: expected a caption or a list of captions, got {value!r}")


def _delimiter(text: str, file: Path, options: ReadOptions, wanted: Wanted) -> str:
    """Return what parts the first line into columns that are known."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise DataError(f"{file} is empty")
    parted = {each: [cell.strip(' "') for cell in first.split(each)] for each in _DELIMITERS}
    for each, cells in parted.items():
        if len(cells) > 1 and (_is_image(cells) or _known(cells, options, file, wanted)):
            return each
    _columns(max(parted.values(), key=len), {}, options, file, wanted)  # says what is missing
    return ","


def _is_image(cells: Sequence[str]) -> bool:
    """Is this a row of an image and a caption, of a table without a header?"""
    return len(cells) == 2 and Path(_NUMBER.sub("", cells[0])).suffix.lower() in EXTENSIONS


def _known(names: Sequence[str], options: ReadOptions, file: Path, wanted: Wanted) -> bool:
    try:
        return bool(_columns(names, {}, options, file, wanted))
    except DataError:
        return False


def _columns(names: Sequence[str], first: dict[str, Any], options: ReadOptions, file: Path, wanted: Wanted) -> Columns:
    """Return the columns that are named in the options, or else guessed from their names and the first row."""
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{file} has two columns {twice!r}; give each a name of its own")
    for name in filter(None, (options.image_column, options.caption_column, options.split_column)):
        if name not in names:
            raise DataError(f"{file} has no column {name!r}; it has {', '.join(names) or 'none'}")
    image = options.image_column or _guess(names, _IMAGE)
    captions = [options.caption_column] if options.caption_column else _guess_captions(names, wanted.captions)
    if not (image and captions):
        words, column = (wanted.captions, "caption") if image else (_IMAGE, "image")
        raise DataError(
            f"{file}: no column of {column}s among {', '.join(names) or 'none'}; looked for "
            f"{words.replace(' ', ', ')}; {wanted.advice.format(column)}"
        )
    split = options.split_column or _guess(names, _SPLIT)
    if not split and splits.named(str(first.get(_guess(names, _MAYBE_SPLIT), ""))):
        split = _guess(names, _MAYBE_SPLIT)
    return Columns(image, tuple(captions), split)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _guess(names: Sequence[str], words: str) -> str:
    plain = {_plain(name): name for name in reversed(names)}
    return next((plain[word] for word in words.split() if word in plain), "")


def _guess_captions(names: Sequence[str], words: str) -> list[str]:
    """Return the column of captions, with those of the same name and a number: caption, caption_2."""
    one = _guess(names, words)
    return [name for name in names if name == one or (re.search(r"\d$", name) and _plain(name) == _plain(one))]
