"""Cache of decoded and resized images in memory-mapped files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
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
    if folder := os.environ.get("LOOKSAY_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "looksay"


class ImageCache:
    """Images at the size of an `ImageSpec`, decoded once, in a folder below the given one or `default_folder`.

    The folder's name is a hash of the spec and of every image's path, size and modification time, so that a changed
    image or another spec makes another cache. `problems` holds the errors of the images that cannot be read, by index
    in `paths`; they are logged.

    Raises
    ------
    DataError
        If the cache cannot be written, or if no image can be read.
    """

    def __init__(self, paths: Sequence[Path], spec: ImageSpec, folder: Path | None = None) -> None:
        def decode(path: Path) -> NDArray[np.uint8] | ImageError:
            try:
                return images.resize(images.read(path, least=spec.size), spec)
            except ImageError as error:
                return error

        def write(indices: range, rows: Rows, advance: Callable[[int], None]) -> Problems:
            problems = {}
            with ThreadPoolExecutor() as pool:  # Pillow releases the GIL
                results = pool.map(decode, (paths[index] for index in indices))
                for row, (index, result) in enumerate(zip(indices, results, strict=True)):
                    if isinstance(result, ImageError):
                        problems[index] = str(result)
                    else:
                        rows[row] = result
                    advance(1)
            return problems

        self.folder = (folder or default_folder()) / f"images-{_hash(paths, spec)}"
        shape = (spec.size, spec.size, 3)
        self._rows = Shards(self.folder, len(paths), shape, np.uint8, write, "decoding images")
        self.problems = self._rows.problems
        for problem in self.problems.values():
            log.warning("left out: %s", problem)
        if len(self.problems) == len(paths):
            raise DataError(f"none of {len(paths)} images can be read; the first problem: {self.problems.get(0)}")

    def __len__(self) -> int:
        return len(self._rows)

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return images by their indices in `paths`, shape (len(indices), size, size, 3)."""
        return np.stack([self._rows[index] for index in indices])


def _hash(paths: Sequence[Path], spec: ImageSpec) -> str:
    def facts(path: Path) -> list[Any]:
        try:
            status = path.stat()
        except OSError:
            return [str(path.absolute()), None, None]
        return [str(path.absolute()), status.st_size, status.st_mtime_ns]

    text = json.dumps([repr(spec), [facts(path) for path in paths]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
