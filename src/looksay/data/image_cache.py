"""Images decoded once, into memory-mapped files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksay import images
from looksay.data.memmap_store import Problems, Rows, Shards
from looksay.errors import DataError, ImageError
from looksay.types import ImageSpec

log = logging.getLogger(__name__)


def default_folder() -> Path:
    """Return ``$LOOKSAY_CACHE``, or the user's cache folder."""
    if chosen := os.environ.get("LOOKSAY_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "looksay"


class ImageCache:
    """Images at the size of an `ImageSpec`, read from disk without decoding.

    The folder's name is a hash of the spec and of every image's path, size and time of change, so that a changed
    image or another spec makes another cache.

    Parameters
    ----------
    paths : sequence of Path
    spec : ImageSpec
    folder : Path, optional
        Where caches are kept; by default `default_folder`.

    Attributes
    ----------
    folder : Path
        Of this cache.
    problems : dict of int to str
        The images that could not be read, by their place in `paths`. Each is logged by name.

    Raises
    ------
    DataError
        If the cache cannot be written, or if no image at all could be read.
    """

    def __init__(self, paths: Sequence[Path], spec: ImageSpec, folder: Path | None = None) -> None:
        self.folder = (folder or default_folder()) / f"images-{_key(paths, spec)}"

        def write(places: range, rows: Rows, done: Callable[[int], None]) -> Problems:
            problems = {}
            results = _decode([paths[place] for place in places], spec)
            for row, (place, result) in enumerate(zip(places, results, strict=True)):
                if isinstance(result, ImageError):
                    problems[place] = str(result)
                else:
                    rows[row] = result
                done(1)
            return problems

        shape = (spec.size, spec.size, 3)
        self._rows = Shards(self.folder, len(paths), shape, np.uint8, write, "decoding images")
        self.problems = self._rows.problems
        for problem in self.problems.values():
            log.warning("left out: %s", problem)
        if len(self.problems) == len(paths):
            raise DataError(f"none of {len(paths)} images could be read; the first problem: {self.problems.get(0)}")

    def __len__(self) -> int:
        return len(self._rows)

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return images by their places in `paths`: (len(indices), size, size, 3)."""
        return np.stack([self._rows[index] for index in indices])


def _key(paths: Sequence[Path], spec: ImageSpec) -> str:
    def stamp(path: Path) -> list[Any]:
        try:
            status = path.stat()
        except OSError:
            return [str(path.absolute()), None, None]
        return [str(path.absolute()), status.st_size, status.st_mtime_ns]

    facts = [repr(spec), [stamp(path) for path in paths]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _decode(paths: Sequence[Path], spec: ImageSpec) -> Iterator[NDArray[np.uint8] | ImageError]:
    def decode(path: Path) -> NDArray[np.uint8] | ImageError:
        try:
            return images.resize(images.read(path, least=spec.size), spec)
        except ImageError as error:
            return error

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        yield from pool.map(decode, paths)
