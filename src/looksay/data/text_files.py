"""Texts as people save them: with or without BOM, with any line ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from looksay.errors import DataError

_PLACES = 5  # that are named


def read(path: Path) -> str:
    """Return a UTF-8 text without its BOM.

    Raises
    ------
    DataError
        If the file cannot be read or is not UTF-8.
    """
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line} is not UTF-8: {error.reason}; save the file as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def lines(path: Path) -> list[tuple[int, str]]:
    """Return the numbers and texts of the lines that are not blank, whatever the line ends."""
    text = read(path).replace("\r\n", "\n").replace("\r", "\n")
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def json_value(text: str, place: str) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    DataError
        If it is not JSON, or if an object says something twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises
    ------
    DataError
        If it is anything else.
    """
    found = json_value(read(path), str(path))
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a JSON object of images and captions, found a {type(found).__name__}")
    return found


def printable(text: str) -> str:
    """Return a text that is safe to print: control characters and broken ones become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(kind: str, places: Sequence[str]) -> str:
    """Say how often something is wrong, and where first."""
    more = "; …" if len(places) > _PLACES else ""
    return printable(f"{kind}: {len(places):,} ({'; '.join(places[:_PLACES])}{more})")
