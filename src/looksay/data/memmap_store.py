"""Rows of equal shape in memory-mapped files: as many as the disk holds, in as little memory as is asked for."""

from __future__ import annotations

import json
import os
import sys
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

SHARD = 512 * 1024**2
"""At most so many bytes in a file, if a row is not larger."""

T = TypeVar("T")
Rows = NDArray[Any]
Problems = dict[int, str]
Write = Callable[[range, Rows, Callable[[int], None]], Problems | None]
"""Fills the rows of some places, tells how many are done now and then, and returns what went wrong at which place."""


class Shards:
    """Rows that are computed once, each in one of several files.

    A file that is there is kept, so that a broken-off beginning is gone on with. Of several processes on a machine that
    train together the first one writes, and the others wait.

    Parameters
    ----------
    folder : Path
        Its name tells what is in it.
    count : int
        Number of rows.
    shape : tuple of int
        Of a row.
    dtype : numpy dtype
    write : callable
        See `Write`.
    label : str
        What stands before the progress bar.

    Attributes
    ----------
    problems : dict of int to str
        What went wrong, by its place.

    Raises
    ------
    DataError
        If a file cannot be written, for want of space or of rights.
    """

    def __init__(
        self, folder: Path, count: int, shape: tuple[int, ...], dtype: DTypeLike, write: Write, label: str
    ) -> None:
        self.count = count
        self._each = max(1, SHARD // max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize))
        starts = range(0, count, self._each)
        self._files = [folder / f"{number:05}.npy" for number in range(len(starts))]
        missing = [start for start, file in zip(starts, self._files, strict=True) if not file.is_file()]
        if missing and writes():
            places = [range(start, min(start + self._each, count)) for start in missing]
            with progress(None, sum(map(len, places)), label) as bar:
                for some in places:
                    file = self._files[some.start // self._each]
                    with new_rows(file, np.dtype(dtype), (len(some), *shape)) as rows:
                        problems = write(some, rows, bar.update)
                        if problems:
                            with replacing(file.with_suffix(".json")) as new:
                                new.write_text(json.dumps(problems), encoding="utf-8")
        for file in self._files:
            wait_for(file)
        self._open: list[Rows | None] = [None] * len(self._files)
        notes = [file.with_suffix(".json") for file in self._files]
        told = [json.loads(note.read_text(encoding="utf-8")) for note in notes if note.is_file()]
        self.problems: Problems = {int(place): problem for each in told for place, problem in each.items()}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> Rows:
        """Return a row, read from disk when it is used."""
        shard, row = divmod(place, self._each)
        rows = self._open[shard]
        if rows is None:
            rows = self._open[shard] = np.load(self._files[shard], mmap_mode="r")
        found: Rows = rows[row]
        return found


def writes() -> bool:
    """Return whether this process is the one that writes, among those that train together on this machine."""
    return os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) == "0"


def wait_for(file: Path) -> None:
    """Wait until another process has written a file."""
    while not file.is_file():
        time.sleep(0.1)


@contextmanager
def new_rows(file: Path, row: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[np.memmap[Any, Any]]:
    """Give a memory-mapped array to fill, and put it in place as `file` in one step if all went well.

    The space is taken at once: a disk that fills up later would end the process without a word.

    Raises
    ------
    DataError
        If the file cannot be written, for want of space or of rights.
    """
    try:
        with replacing(file) as temporary:
            rows = np.lib.format.open_memmap(temporary, mode="w+", dtype=row, shape=shape)
            if hasattr(os, "posix_fallocate"):
                with temporary.open("r+b") as reserved:
                    os.posix_fallocate(reserved.fileno(), 0, temporary.stat().st_size)
            yield rows
            rows.flush()
    except OSError as error:
        raise DataError(
            f"the cache {file} cannot be written: {error.strerror or error}; name another place with data.cache=DIR"
        ) from error


def progress(items: Iterable[T] | None, length: int, label: str) -> AbstractContextManager[Any]:
    """Show a bar on standard error while `items` are worked through; none where it is no terminal."""
    return click.progressbar(items, length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
