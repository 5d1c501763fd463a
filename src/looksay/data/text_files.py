"""UTF-8 text files with or without a BOM and with any line ends, JSON, and printable messages.

The readers raise `DataError` with the file and line if a file cannot be read or is not valid.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from looksay.errors import DataError

_MAX_PLACES = 5  # listed in a message


def read(path: Path) -> str:
    """Return a UTF-8 text without its BOM."""
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line} is not UTF-8: {error.reason}; save the file as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


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
