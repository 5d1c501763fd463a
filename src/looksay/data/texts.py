"""Texts as people save them: with or without BOM, with any line ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from looksay.errors import DataError


def read(path: Path) -> str:
    """Return a UTF-8 text without its BOM.

    Raises
    ------
    DataError
        If the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}; save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def lines(path: Path) -> list[tuple[int, str]]:
    """Return the numbers and texts of the lines that are not blank, whatever the line ends."""
    text = read(path).replace("\r\n", "\n").replace("\r", "\n")
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def json_value(path: Path) -> Any:
    """Return what a JSON file says.

    Raises
    ------
    DataError
        If it is not JSON.
    """
    try:
        return json.loads(read(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error


def json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises
    ------
    DataError
        If it is anything else.
    """
    found = json_value(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a JSON object of images and captions, found a {type(found).__name__}")
    return found
