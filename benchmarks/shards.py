"""How much memory a cache of COCO's size takes to read: ``python benchmarks/shards.py FOLDER [--images 118287]``.

The files have the shape of a real cache (pixels of 240 × 240) and hold nothing but zeros. Batches of 32 images are
read in random order, as training does. Memory of its own is what only this process has; what is mapped from files
beside it is the system's cache, which gives way where others need memory.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from looksay.data.memmap_store import Problems, Rows, Shards

SIZE, BATCH = 240, 32


def memory() -> dict[str, int]:
    """Return this process's memory of its own and mapped from files, MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = {
        name: int(value.split()[0]) // 1024
        for name, _, value in (line.partition(":") for line in lines)
        if "kB" in value
    }
    return {"own_MB": found["RssAnon"], "mapped_MB": found["RssFile"]}


def nothing(places: range, _: Rows, done: Callable[[int], None]) -> Problems | None:
    """Leave the rows at zero."""
    done(len(places))
    return None


def main() -> None:
    """Write, read, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=118_287)
    given = parser.parse_args()
    rows = Shards(given.folder, given.images, (SIZE, SIZE, 3), np.uint8, nothing, "")
    size = sum(file.stat().st_size for file in given.folder.iterdir())
    print(
        json.dumps(
            {
                "images": given.images,
                "files": len(list(given.folder.iterdir())),
                "GB": round(size / 1e9, 1),
                **memory(),
            }
        )
    )
    order = np.random.default_rng(0).permutation(given.images)
    start = time.perf_counter()
    for first in range(0, given.images, BATCH):
        np.stack([rows[place] for place in order[first : first + BATCH]])
    taken = time.perf_counter() - start
    print(json.dumps({"images_a_second": round(given.images / taken), **memory()}))


if __name__ == "__main__":
    main()
