"""Pictures decoded once, into one memory-mapped file."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from looksay import images
from looksay.errors import DataError, ImageError
from looksay.specs import ImageSpec

log = logging.getLogger(__name__)
T = TypeVar("T")


def default_folder() -> Path:
    """Return ``$LOOKSAY_CACHE``, or the user's cache folder."""
    if chosen := os.environ.get("LOOKSAY_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "looksay"


class PictureCache:
    """Pictures at the size of an `ImageSpec`, read from disk without decoding.

    The file's name is a hash of the spec and of every picture's path, size and time of change, so that a changed
    picture or another spec makes another file.

    Parameters
    ----------
    paths : sequence of Path
    spec : ImageSpec
    folder : Path, optional
        Where the file is kept; by default `default_folder`.

    Attributes
    ----------
    file : Path
    problems : dict of int to str
        The pictures that could not be read, by their place in `paths`. Each is logged by name.

    Raises
    ------
    DataError
        If the cache cannot be written, or if no picture at all could be read.
    """

    def __init__(self, paths: Sequence[Path], spec: ImageSpec, folder: Path | None = None) -> None:
        self.file = (folder or default_folder()) / f"pictures-{_key(paths, spec)}.npy"
        if not self.file.is_file():
            _build(self.file, paths, spec)
        self._rows = np.load(self.file, mmap_mode="r")
        self.problems = {
            int(index): self._rows["problem"][index].decode(errors="replace")
            for index in np.flatnonzero(self._rows["problem"] != b"")
        }
        for problem in self.problems.values():
            log.warning("left out: %s", problem)
        if len(self.problems) == len(paths):
            raise DataError(f"none of {len(paths)} pictures could be read; the first problem: {self.problems.get(0)}")

    def __len__(self) -> int:
        return len(self._rows)

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return pictures by their places in `paths`: (len(indices), size, size, 3)."""
        picked: NDArray[np.uint8] = self._rows["pixels"][list(indices)]
        return picked


def _key(paths: Sequence[Path], spec: ImageSpec) -> str:
    def stamp(path: Path) -> list[Any]:
        try:
            status = path.stat()
        except OSError:
            return [str(path.absolute()), None, None]
        return [str(path.absolute()), status.st_size, status.st_mtime_ns]

    facts = [repr(spec), [stamp(path) for path in paths]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _build(file: Path, paths: Sequence[Path], spec: ImageSpec) -> None:
    row = np.dtype([("problem", "S240"), ("pixels", "u1", (spec.size, spec.size, 3))])
    bar = progress(_decode(paths, spec), len(paths), "decoding pictures")
    with new_rows(file, row, (len(paths),)) as rows, bar as results:
        for index, result in enumerate(results):
            if isinstance(result, ImageError):
                rows[index]["problem"] = str(result).encode()[:240]
            else:
                rows[index]["pixels"] = result


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


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in the place of `file` in one step if all went well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def progress(items: Iterable[T], length: int, label: str) -> AbstractContextManager[Iterable[T]]:
    """Show a bar on standard error while `items` are worked through; none where it is no terminal."""
    return click.progressbar(items, length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


def _decode(paths: Sequence[Path], spec: ImageSpec) -> Iterator[NDArray[np.uint8] | ImageError]:
    def decode(path: Path) -> NDArray[np.uint8] | ImageError:
        try:
            return images.resize(images.read(path, least=spec.size), spec)
        except ImageError as error:
            return error

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        yield from pool.map(decode, paths)
