"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from looksay.errors import JobError


@contextmanager
def replacing(file: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in the place of `file` in one step if all went well.

    Parameters
    ----------
    durable : bool
        Have it on the disk before: so much care is due where `file` is a user's only copy.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{socket.gethostname()}-{os.getpid()}-{file.name}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed had half written; no other process may be writing there."""
    for file in folder.iterdir():
        if re.fullmatch(r"\..+-\d+-.+", file.name):
            file.unlink()


@contextmanager
def lock(file: Path) -> Iterator[None]:
    """Keep other processes of this machine from writing to a file.

    Raises
    ------
    JobError
        If another one writes to it.
    """
    beside = file.with_name(f".{file.name}.lock")
    with beside.open("a") as held:
        try:
            _hold(held.fileno())
        except OSError as error:
            raise JobError(f"{file} is being written by another looksay; wait for it, or name another file") from error
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)


def _hold(descriptor: int) -> None:
    """Take the lock of an open file, which goes back when it is closed or its process ends."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
