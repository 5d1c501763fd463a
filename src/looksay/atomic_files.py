"""Atomic replacement and locking of files."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from looksay.errors import JobError


@contextmanager
def replacing(file: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to, and move it to `file` in one step if no error was raised.

    With `durable`, the data is flushed to the disk before, for files of which the user may have no other copy.
    """
    file = Path(os.path.realpath(file))  # a symbolic link is kept
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


def copy_attributes(source: Path, target: Path, *, times: bool) -> None:
    """Give a file the owner, group, mode, extended attributes and, if wanted, the times of another one.

    Raises `PermissionError` if the owner or group cannot be kept.
    """
    old, new = source.stat(), target.stat()
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.chown(target, old.st_uid, old.st_gid)
        except PermissionError as error:
            raise PermissionError(error.errno, "its owner and group could not be kept") from error
    shutil.copystat(source, target)
    if not times:
        os.utime(target)


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed processes; no other process may be writing to the folder."""
    for file in folder.iterdir():
        if re.fullmatch(r"\..+-\d+-.+", file.name):
            file.unlink()


@contextmanager
def lock(file: Path) -> Iterator[None]:
    """Keep other processes of this machine from writing to a file; raise a `JobError` if one is writing to it.

    The lock is that of a hidden file beside `file`, which is removed at the end.
    """
    path = file.with_name(f".{file.name}.lock")
    try:
        while (descriptor := _acquire(path)) is None:
            pass
    except BlockingIOError as error:
        raise JobError(f"{file} is being written by another looksay; wait for it, or name another file") from error
    try:
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(descriptor)
            with suppress(OSError):  # another process has opened it
                path.unlink()
        else:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _acquire(path: Path) -> int | None:
    """Return the descriptor of a locked file, or None if the path no longer names the file that was locked.

    The previous holder may have removed the file after it was opened here; a third process then locks a new file of
    that name. Raises a `BlockingIOError` if another process holds the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock_descriptor(descriptor)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except FileNotFoundError:
        pass
    except OSError as error:
        os.close(descriptor)
        raise BlockingIOError(*error.args) from error
    os.close(descriptor)
    return None


def _lock_descriptor(descriptor: int) -> None:
    """Lock an open file until it is closed or its process ends."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
