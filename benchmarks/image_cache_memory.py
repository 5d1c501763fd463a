"""The memory that reading an image cache of COCO's size takes: ``python benchmarks/image_cache_memory.py FOLDER``.

The files have the shape of a real cache (pixels of 240 × 240) and contain zeros. Batches of 32 images are read in
random order, as in training. Anonymous memory belongs to the process alone; pages mapped from files are the system's
cache, which it drops when memory is needed elsewhere. ``--images`` sets the number of images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import parser, print_row

from looksay.data.memmap_store import Rows, Shards

SIZE, BATCH = 240, 32


def memory() -> dict[str, int]:
    """Return this process's anonymous and file-mapped memory in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kilobytes = {name: int(value.split()[0]) for name, _, value in (s.partition(":") for s in lines) if "kB" in value}
    return {"anonymous_MB": kilobytes["RssAnon"] // 1024, "mapped_MB": kilobytes["RssFile"] // 1024}


def write_zeros(indices: range, _: Rows, report: Callable[[int], None]) -> None:
    """Leave the rows at zero."""
    report(len(indices))


def main() -> None:
    """Write the cache, read it, and print the memory after each."""
    arguments = parser(__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--images", type=int, default=118_287)
    options = arguments.parse_args()
    rows = Shards(options.folder, options.images, (SIZE, SIZE, 3), np.uint8, write_zeros, "")
    sizes = [file.stat().st_size for file in options.folder.iterdir()]
    print_row(images=options.images, files=len(sizes), GB=round(sum(sizes) / 1e9, 1), **memory())
    order = np.random.default_rng(0).permutation(options.images)
    start = time.perf_counter()
    for first in range(0, options.images, BATCH):
        np.stack([rows[index] for index in order[first : first + BATCH]])
    seconds = time.perf_counter() - start
    print_row(images_per_second=round(options.images / seconds), **memory())


if __name__ == "__main__":
    main()
