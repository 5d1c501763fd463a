"""Reader of tables of images and captions: CSV, TSV, JSONL, JSON and Parquet files."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from looksay.data import containers, splits, text_files
from looksay.data.containers import Row
from looksay.data.records import ReadOptions
from looksay.errors import DataError
from looksay.image_files import EXTENSIONS

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
MADE_BY = "made_by"
"""Key of the provenance row that ``looksay caption --output`` writes first; that row has no caption."""

_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "|"}
# Usual names of columns in order of preference. Only letters are compared: image_name, Image Name, imageName.
_IMAGE = (
    "image imagename imagefilename imagefile imagepath filename filepath file path img imgname imgpath photo imageid id"
)
_SPLIT = "split subset partition"
_POSSIBLE_SPLIT = "set part phase fold"  # columns of splits only if the first row holds the name of a split
_IMAGE_FILE = re.compile(rf"(.+({'|'.join(map(re.escape, EXTENSIONS))}))(#\d+)?", re.IGNORECASE)  # Flickr's: a.jpg#0

# A list in a cell, as pandas and NumPy write it: ['a dog', "it's a cat"] or ['a dog' 'a cat'].
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_LIST = re.compile(rf"\[\s*(?:{_TEXT})(?:[\s,]+(?:{_TEXT}))*[\s,]*\]", re.DOTALL)


class CaptionNames(NamedTuple):
    """Usual names of a column of captions in order of preference, and the advice if there is none."""

    names: str
    advice: str


REFERENCES = CaptionNames(
    "caption captions text description sentence sentences comment reference references alttext alt raw title",
    "name it: --{0}-column NAME, or data.{0}_column=NAME to train",
)
PREDICTIONS = CaptionNames(
    "prediction predictions hypothesis generated output caption captions text description sentence",
    "call it {0}, or name the column of captions: --prediction-column NAME",
)


class Columns(NamedTuple):
    """Names of the columns in use; empty where there is none."""

    image: str
    captions: tuple[str, ...]
    split: str


class TableRow(NamedTuple):
    """A row of a table."""

    place: str  # file and line
    image: str
    captions: list[str]
    split: str
    values: dict[str, Any]  # by column


class Table(NamedTuple):
    """A table, whose rows can be iterated once."""

    header: Sequence[str]
    columns: Columns
    rows: Iterator[TableRow]
    mended_rows: list[str]  # places of the rows with a known defect that was mended


def read(file: Path, options: ReadOptions, captions: CaptionNames = REFERENCES, unpacked: Path | None = None) -> Table:
    """Read a table with the columns that the options name, or that are guessed from the header and the first row.

    `unpacked` is the table of a container; see `containers.unpack`. Unknown columns, a table without rows and broken
    rows are a `DataError`.
    """
    mended_rows: list[str] = []
    readers = {".json": _json_rows, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": containers.parquet_rows}
    if reader := containers.read_table if unpacked else readers.get(file.suffix.lower()):
        objects = list(reader(unpacked or file))
        header: Sequence[str] = list(dict.fromkeys(name for _, row in objects for name in row))
        rows = iter(objects)
    else:
        header, rows = _delimited(file, options, captions, mended_rows)
    columns, problem = _find_columns(header, options, captions)
    if problem and header:
        raise DataError(f"{file}{problem}")
    if (first := next(rows, None)) is None:
        raise DataError(f"{file} has no rows")
    possible_split = _guess(header, _POSSIBLE_SPLIT)
    if not columns.split and splits.standard_name(str(first[1].get(possible_split, ""))):
        columns = columns._replace(split=possible_split)
    return Table(header, columns, (_row(*row, columns) for row in chain([first], rows)), mended_rows)


def _row(place: str, values: dict[str, Any], columns: Columns) -> TableRow:
    captions = [text for column in columns.captions for text in _captions(values.get(column), place)]
    if len(columns.captions) > 1:  # an image may have fewer captions than there are columns
        captions = [caption for caption in captions if caption.strip()]
    image = values.get(columns.image, "")
    if isinstance(image, float) and image.is_integer():
        image = int(image)
    if not isinstance(image, str | int | None):
        raise DataError(f"{place}: expected the name of an image, got {image!r}")
    name = "" if image is None else str(image).strip()
    file = _IMAGE_FILE.fullmatch(name)
    split = str(values.get(columns.split) or "") if columns.split else ""  # pandas' index column has no name either
    return TableRow(place, file[1] if file else name, captions, split, values)


def _delimited(
    file: Path, options: ReadOptions, captions: CaptionNames, mended_rows: list[str]
) -> tuple[Sequence[str], Iterator[Row]]:
    """Return the header and the rows of a file with delimiters."""
    text = re.sub(r"^sep=.\r?\n", "\n", text_files.read(file))  # in files for Excel
    delimiter = _detect_delimiter(text, file, options, captions)
    lines = _parse(text, delimiter, file)
    first_line, header = next(lines, (0, []))
    if _is_image_row(header):
        lines, header = chain([(first_line, header)], lines), ["image", "caption"]

    def rows() -> Iterator[Row]:
        for number, cells in lines:
            place = f"{file.name}, line {number}"
            lacks_one = delimiter == "|" and len(cells) == len(header) - 1
            if lacks_one and (match := re.match(r"(\d+)\s+(.+)", cells[-1])):  # in one row of Kaggle's Flickr30k
                mended_rows.append(place)
                cells[-1:] = match.groups()
            if len(cells) != len(header):
                name = _DELIMITERS[delimiter]
                advice = f"; put captions that contain a {name} in double quotes" * (len(cells) > len(header))
                raise DataError(
                    f"{file}, line {number}: {len(cells)} cells, separated by {name}, where the header has "
                    f"{len(header)}: {cells}{advice}"
                )
            yield place, dict(zip(header, cells, strict=True))

    return header, rows()


def _parse(text: str, delimiter: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and cells of the rows that are not blank."""
    quoting: Literal[0, 3] = (
        csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL
    )  # Kaggle's Flickr30k does not quote cells
    lines = io.StringIO(text, newline="")
    rows = csv.reader(lines, strict=True, delimiter=delimiter, quoting=quoting, skipinitialspace=True)
    last_line = 0
    try:
        for row in rows:
            if any(cells := [cell.strip() for cell in row]):
                yield rows.line_num, cells
            last_line = rows.line_num
    except csv.Error as error:
        is_unclosed = "end of data" in str(error)
        reason = "a double quote is opened and never closed" if is_unclosed else f"check the double quotes: {error}"
        raise DataError(f"{file}, line {last_line + 1}: {reason}") from error


def _json_rows(file: Path) -> Iterator[Row]:
    """Yield the objects of a list, as in COCO's results, or the items of one object of image to caption."""
    content = text_files.parse_json(text_files.read(file), str(file))
    if isinstance(content, dict) and all(isinstance(value, str | list | None) for value in content.values()):
        content = [{"image": image, "caption": caption} for image, caption in content.items()]
    if not isinstance(content, list):
        raise DataError(f'{file}: expected a list, [{{"image_id": …, "caption": …}}, …], or {{image: caption, …}}')
    for number, row in enumerate(content):
        yield f"{file.name}, [{number}]", _require_object(row, f"{file}, [{number}]")


def _json_lines(file: Path) -> Iterator[Row]:
    for number, line in text_files.lines(file):
        place = f"{file}, line {number}"
        row = _require_object(text_files.parse_json(line, place), place)
        if not (MADE_BY in row and "looksay" in row and "image" not in row):
            yield f"{file.name}, line {number}", row


def _require_object(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        value = json.dumps(row, ensure_ascii=False)[:80]
        raise DataError(f'{place}: expected {{"image": …, "caption": …}}, got {value}')
    return row


def _captions(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _captions(item, place)
    elif isinstance(value, str):
        yield from _listed(value) if _LIST.fullmatch(value.strip()) else [value]
    elif value is not None:
        raise DataError(f"{place}: expected a caption or a list of captions, got {value!r}")


def _listed(text: str) -> list[str]:
    """Return the texts of a list in a cell."""
    try:
        texts: list[str] = json.loads(text)
    except ValueError:
        texts = [ast.literal_eval(f"u{quoted}") for quoted in re.findall(_TEXT, text, re.DOTALL)]
    return texts


def _detect_delimiter(text: str, file: Path, options: ReadOptions, captions: CaptionNames) -> str:
    """Return the delimiter that splits the first line into known columns, or else into the most cells."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise DataError(f"{file} is empty")

    def rank(delimiter: str) -> tuple[bool, int]:
        header = [cell.strip(' "') for cell in first.split(delimiter)]
        _, problem = _find_columns(header, options, captions)
        return len(header) > 1 and (_is_image_row(header) or not problem), len(header)

    return max(_DELIMITERS, key=rank)


def _is_image_row(cells: Sequence[str]) -> bool:
    """Return whether this is an image and a caption, the first row of a table without a header."""
    return len(cells) == 2 and bool(_IMAGE_FILE.fullmatch(cells[0]))


def _find_columns(header: Sequence[str], options: ReadOptions, captions: CaptionNames) -> tuple[Columns, str]:
    """Return the columns that the options name or that are guessed, and the problem with them, to follow the file."""
    columns = Columns(
        options.image_column or _guess(header, _IMAGE),
        options.caption_column or _guess_captions(header, captions.names),
        options.split_column or _guess(header, _SPLIT),
    )
    existing = ", ".join(filter(None, header)) or "none"
    if repeated := next((name for name in header if name and header.count(name) > 1), None):
        return columns, f" has two columns {repeated!r}; rename one"
    for name in filter(None, (options.image_column, *options.caption_column, options.split_column)):
        if name not in header:
            return columns, f" has no column {name!r}; it has {existing}"
    if columns.image and columns.captions:
        return columns, ""
    names, missing = (captions.names, "caption") if columns.image else (_IMAGE, "image")
    expected, advice = names.replace(" ", ", "), captions.advice.format(missing)
    return columns, f": no column of {missing}s among {existing}; expected {expected}; {advice}"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _guess(header: Sequence[str], names: str) -> str:
    columns = {_letters(name): name for name in reversed(header)}
    return next((columns[name] for name in names.split() if name in columns), "")


def _guess_captions(header: Sequence[str], names: str) -> tuple[str, ...]:
    """Return the column of captions and those of the same name with a number: caption, caption_2."""
    first = _guess(header, names)
    if not first:
        return ()
    return tuple(
        name for name in header if name == first or (re.search(r"\d$", name) and _letters(name) == _letters(first))
    )
