"""Arrays of equal shape in memory-mapped files, computed once and read without loading them into memory."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import DTypeLike, NDArray

from looksay.atomic_files import replacing
from looksay.errors import DataError

SHARD = 512 * 1024**2  # maximum bytes of a file, unless a single row is larger
WAIT_LIMIT = 30 * 60.0  # seconds that a process waits for the writer without a sign of life
_HEARTBEAT = 10.0  # seconds between two signs of life of the writer

T = TypeVar("T")
Rows = NDArray[Any]
Problems = dict[int, str]
Write = Callable[[range, Rows, Callable[[int], None]], Problems | None]
"""Fills the rows of a range of indices, reports progress as numbers of rows, and returns problems by index."""


class Shards:
    """Rows of one shape and type, computed once and stored in several files of a folder whose name identifies them.

    Existing files are kept, so interrupted builds resume. Of the processes that train together on a machine, the first
    calls `write` with the rows to fill, and the others wait; the problems it returns are stored as `problems`. A file
    that cannot be written is a `DataError`, and so is a writer that has stopped.
    """

    def __init__(
        self, folder: Path, count: int, shape: tuple[int, ...], dtype: DTypeLike, write: Write, label: str
    ) -> None:
        self._count = count
        self._rows_per_file = max(1, SHARD // max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize))
        starts = range(0, count, self._rows_per_file)
        self._files = [folder / f"{number:05}.npy" for number in range(len(starts))]
        ranges = [range(start, min(start + self._rows_per_file, count)) for start in starts]
        missing = {file: indices for file, indices in zip(self._files, ranges, strict=True) if not file.is_file()}
        if missing and is_writer():
            with progress(None, sum(map(len, missing.values())), label) as bar:
                for file, indices in missing.items():
                    with new_rows(file, np.dtype(dtype), (len(indices), *shape)) as rows:
                        if problems := write(indices, rows, bar.update):
                            with replacing(file.with_suffix(".json")) as temporary:
                                temporary.write_text(json.dumps(problems), encoding="utf-8")
        self._memmaps: list[Rows | None] = [None] * len(self._files)
        self.problems: Problems = {}
        for file in self._files:
            wait_for(file)
            if (note := file.with_suffix(".json")).is_file():
                problems_by_index = json.loads(note.read_text(encoding="utf-8"))
                self.problems |= {int(index): problem for index, problem in problems_by_index.items()}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Rows:
        """Return a row; it is read from disk when it is used."""
        shard, row = divmod(index, self._rows_per_file)
        rows = self._memmaps[shard]
        if rows is None:
            rows = self._memmaps[shard] = np.load(self._files[shard], mmap_mode="r")
        values: Rows = rows[row]
        return values


def is_writer() -> bool:
    """Return whether this process writes for those that train together on this machine: the first local rank."""
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0"


def wait_for(file: Path, limit: float | None = None) -> None:
    """Wait until another process has written a file with `new_rows`.

    After `limit` seconds (by default `WAIT_LIMIT`) without a sign of life of that process, raise a `DataError`.
    """
    limit = WAIT_LIMIT if limit is None else limit
    last_sign, deadline = 0.0, time.monotonic() + limit
    while not file.is_file():
        sign = max(map(_modification_time, file.parent.glob(f".*-{file.name}")), default=0.0)
        if sign != last_sign:
            last_sign, deadline = sign, time.monotonic() + limit
        if time.monotonic() > deadline:
            raise DataError(
                f"{file} was not written: the first process on this machine gave no sign of life for {limit:.0f} "
                "seconds; see its log, and start all processes again"
            )
        time.sleep(0.1)


def _modification_time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # the writer has just renamed it
        return 0.0


@contextmanager
def new_rows(file: Path, row: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[np.memmap[Any, Any]]:
    """Yield a memory-mapped array to fill, and rename it to `file` if there was no error.

    The array must not be used afterwards. Disk space is reserved first: a write to a mapped file on a full disk would
    kill the process without a message; so it is a `DataError`.
    """
    try:
        with replacing(file) as temporary:
            rows = np.lib.format.open_memmap(temporary, mode="w+", dtype=row, shape=shape)
            try:
                if hasattr(os, "posix_fallocate"):
                    with temporary.open("r+b") as reserved:
                        os.posix_fallocate(reserved.fileno(), 0, temporary.stat().st_size)
                with _heartbeat(temporary):
                    yield rows
                rows.flush()
            finally:
                rows._mmap.close()  # type: ignore[attr-defined]  # Windows cannot rename or delete a mapped file
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"cache file {file} cannot be written: {reason}; use another folder with data.cache=DIR"
        ) from error


@contextmanager
def _heartbeat(file: Path) -> Iterator[None]:
    """Set a file's modification time every few seconds, as writes to a mapped file need not change it."""
    is_done = threading.Event()

    def beat() -> None:
        while not is_done.wait(_HEARTBEAT):
            os.utime(file)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


def progress(items: Iterable[T] | None, length: int, label: str) -> AbstractContextManager[Any]:
    """Return a progress bar on standard error, hidden where that is no terminal."""
    return click.progressbar(items, length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
