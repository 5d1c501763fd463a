"""Atomic replacement and locking of files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from looksay.errors import JobError

_MAX_BYTES = 100  # of the part of a hidden file's name that comes from another name; file systems allow 143 or 255


@contextmanager
def replacing(file: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to, and move it to `file` in one step if no error was raised.

    With `durable`, the data is flushed to the disk before, for files of which the user may have no other copy.
    """
    file = Path(os.path.realpath(file))  # a symbolic link is kept
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{socket.gethostname()[:20]}-{os.getpid()}-{_shortened(file.name)}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def rewrite(file: Path, content: bytes, *, keep_times: bool = False) -> None:
    """Write a file, which keeps its owner, group, mode, extended attributes and, if wanted, times.

    The times of a photo are often its date; those of other files tell of the change. Raises `PermissionError` if the
    file is read-only, or if its owner or group cannot be kept.
    """
    is_new = not file.exists()
    is_writable = is_new or os.access(file, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
    if not is_writable:  # it could be replaced all the same, which is not what its owner wants
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with replacing(file, durable=not is_new) as new:
        new.write_bytes(content)
        if not is_new:
            _copy_attributes(file, new, times=keep_times)


def _copy_attributes(source: Path, target: Path, *, times: bool) -> None:
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
    """Remove the temporary files of killed processes; no other process may be writing to the folder, if it exists."""
    for file in folder.glob(".*"):
        if re.fullmatch(r"\..+-\d+-.+", file.name):
            file.unlink()


@contextmanager
def lock(file: Path) -> Iterator[bool]:
    """Keep other processes from writing to a file; raise a `JobError` if one is writing to it.

    The lock is that of a hidden file beside `file`, which is removed at the end. Yields False if the file system has
    no locks, as some network mounts: other processes are then not kept out.
    """
    path = file.with_name(f".{_shortened(file.name)}.lock")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_locked = _lock_descriptor(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise JobError(f"{file} is being written by another looksay; wait for it, or name another file") from error
        if not is_locked or _is_at(descriptor, path):
            break
        os.close(descriptor)  # the previous holder had removed the file after it was opened here
    try:
        yield is_locked
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(descriptor)
            with suppress(OSError):  # another process has opened it
                path.unlink()
        else:  # in this order: once the file is closed, its name may be the lock of another process
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _lock_descriptor(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False if its file system has no locks.

    Raises a `BlockingIOError`, on Windows a `PermissionError`, if another process holds the lock.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise
    except OSError:  # ENOLCK, EOPNOTSUPP, ENOSYS, …
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one with this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _shortened(name: str) -> str:
    """Return a name, or its hash if the names that are derived from it could be too long."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _MAX_BYTES else hashlib.sha256(encoded).hexdigest()[:32]
