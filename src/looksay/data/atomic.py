"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in the place of `file` in one step if all went well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{socket.gethostname()}-{os.getpid()}-{file.name}")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed had half written; no other process may be writing there."""
    for file in folder.iterdir():
        if re.fullmatch(r"\..+-\d+-.+", file.name):
            file.unlink()
