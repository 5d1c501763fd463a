"""Text files in UTF-8, or UTF-16 with a BOM, with any line ends; JSON, and printable messages.

The readers raise `DataError` with the file and line if a file cannot be read or is not valid.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from looksay.errors import DataError

_MAX_PLACES = 5  # listed in a message
SHEETS = {
    ".xlsx": "an Excel workbook", ".xlsm": "an Excel workbook", ".xls": "an Excel workbook",
    ".ods": "an OpenDocument spreadsheet", ".numbers": "a Numbers spreadsheet",
}  # fmt: skip
_BINARY_FORMATS = {
    b"PK\3\4": "a ZIP file (Excel and OpenDocument sheets are such): save a sheet as CSV UTF-8, unpack an archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls): save its sheet as CSV UTF-8",
    b"\x1f\x8b": "compressed with gzip: unpack it",
    b"PAR1": "a Parquet file: give its name the ending .parquet",
    b"SQLite format 3": "an SQLite database: export its table as CSV",
}


def read(path: Path) -> str:
    """Return the text of a file without its BOM; a spreadsheet or another known binary file is refused by its name."""
    suffix = path.suffix.lower()
    if suffix in SHEETS:
        raise DataError(f"{path} is {SHEETS[suffix]} ({suffix}): save the sheet as CSV UTF-8, and name that file")
    try:
        return decode(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def decode(content: bytes, place: str) -> str:
    """Return a text in UTF-8, or in UTF-16 as Excel's "Unicode text", without its BOM; `place` names it in errors."""
    for start, kind in _BINARY_FORMATS.items():
        if content.startswith(start):
            raise DataError(f"{place} is {kind}")
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, name = content[: error.start].count(b"\n") + 1, "UTF-16" if is_utf16 else "UTF-8"
        raise DataError(f"{place}, line {line} is not {name}: {error.reason}; save the file as UTF-8") from error
    if "\0" in text:  # every other byte of English in UTF-16
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{place}, line {line} has a null byte: save the file as UTF-8, or as UTF-16 with a BOM")
    return text


def lines(path: Path) -> list[tuple[int, str]]:
    """Return the line numbers and texts of the lines that are not blank."""
    text = read(path).replace("\r\n", "\n").replace("\r", "\n")
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def parse_json(text: str, place: str) -> Any:
    """Parse a JSON text without repeated keys; `place` names it in errors."""

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise ValueError(f"key {key!r} occurs twice")
        return content

    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON: {error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file."""
    content = parse_json(read(path), str(path))
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object of images and captions, got a {type(content).__name__}")
    return content


def printable(text: str) -> str:
    """Return a text that is safe to print: control characters and surrogates become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def describe_problem(kind: str, places: Sequence[str]) -> str:
    """Return a line with the count of a problem and its first places."""
    more = "; …" if len(places) > _MAX_PLACES else ""
    return printable(f"{kind}: {len(places):,} ({'; '.join(places[:_MAX_PLACES])}{more})")
