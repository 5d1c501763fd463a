"""Arrays of equal shape in memory-mapped files, computed once and read without loading them into memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import DTypeLike, NDArray

from looksay.atomic_files import replacing
from looksay.errors import DataError

SHARD = 512 * 1024**2  # maximum bytes of a file, unless a single row is larger

T = TypeVar("T")
Rows = NDArray[Any]
Problems = dict[int, str]
Write = Callable[[range, Rows, Callable[[int], None]], Problems | None]
"""Fills the rows of a range of indices, reports progress as numbers of rows, and returns problems by index."""


class Shards:
    """Rows of one shape and type, computed once and stored in several files of a folder whose name identifies them.

    Existing files are kept, so interrupted builds resume. Of the processes that train together, the first calls `write`
    with the rows to fill, and the others wait; the problems it returns are stored as `problems`. A file that cannot be
    written is a `DataError`.
    """

    def __init__(
        self, folder: Path, count: int, shape: tuple[int, ...], dtype: DTypeLike, write: Write, label: str
    ) -> None:
        self._count = count
        self._rows_per_file = max(1, SHARD // max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize))
        ranges = [range(count)[start : start + self._rows_per_file] for start in range(0, count, self._rows_per_file)]
        self._files = {folder / f"{number:05}.npy": indices for number, indices in enumerate(ranges)}

        def write_files(files: list[Path]) -> None:
            with progress(None, sum(len(self._files[file]) for file in files), label) as bar:
                for file in files:
                    indices = self._files[file]
                    with new_rows(file, np.dtype(dtype), (len(indices), *shape)) as rows:
                        if problems := write(indices, rows, bar.update):
                            with replacing(file.with_suffix(".json")) as temporary:
                                temporary.write_text(json.dumps(problems), encoding="utf-8")

        write_once(list(self._files), write_files)
        self._memmaps: list[Rows | None] = [None] * len(self._files)
        self.problems: Problems = {}
        for note in sorted(folder.glob("*.json")):
            problems = json.loads(note.read_text(encoding="utf-8"))
            self.problems |= {int(index): problem for index, problem in problems.items()}

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_memmaps": [None] * len(self._files)}  # a process opens its own, and gets no copies

    def __getitem__(self, index: int) -> Rows:
        """Return a row; it is read from disk when it is used."""
        shard, row = divmod(index, self._rows_per_file)
        rows = self._memmaps[shard]
        if rows is None:
            rows = self._memmaps[shard] = np.load(list(self._files)[shard], mmap_mode="r")
        values: Rows = rows[row]
        return values


def write_once(files: Sequence[Path], write: Callable[[list[Path]], None]) -> None:
    """Call `write` for the files of a folder that do not exist, in one process at a time.

    Other processes wait and then find the files; one of them continues if the writer is killed. A file that cannot be
    written is a `DataError`.
    """
    from filelock import FileLock

    if all(file.is_file() for file in files):
        return
    first = files[0]
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(first.with_name(f".{first.name}.lock")):
            if missing := [file for file in files if not file.is_file()]:
                write(missing)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"cache file {first} cannot be written: {reason}; use another folder with data.cache=DIR"
        ) from error


@contextmanager
def new_rows(file: Path, row: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[np.memmap[Any, Any]]:
    """Yield a memory-mapped array to fill, and rename it to `file` if there was no error.

    The array must not be used afterwards. Disk space is reserved first: a write to a mapped file on a full disk would
    kill the process without a message; so it is an `OSError`.
    """
    with replacing(file) as temporary:
        rows = np.lib.format.open_memmap(temporary, mode="w+", dtype=row, shape=shape)
        try:
            if hasattr(os, "posix_fallocate"):
                with temporary.open("r+b") as reserved:
                    os.posix_fallocate(reserved.fileno(), 0, temporary.stat().st_size)
            yield rows
            rows.flush()
        finally:
            rows._mmap.close()  # type: ignore[attr-defined]  # Windows cannot rename or delete a mapped file


def progress(items: Iterable[T] | None, length: int, label: str) -> AbstractContextManager[Any]:
    """Return a progress bar on standard error, hidden where that is no terminal."""
    return click.progressbar(items, length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())
