"""What it costs to ask for nouns: milliseconds a photo, alone, from its file to its caption.

python benchmarks/asking.py DATA... [--model default] [--against BUNDLE] [--images 130] [--rounds 3]

Of each data set the first images of its val split, or of all where it has none. Works take turns, image by image.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import mean, median

import looksay
from looksay import data
from looksay.errors import DataError


def images(folder: Path, count: int) -> list[Path]:
    """Return some images that people hold out."""
    dataset = data.read(folder)
    try:
        records = dataset.split("val")
    except DataError:
        records = dataset.split("all")
    return [record.image for record in records[:count]]


def main() -> None:
    """Print a line for each data set and work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", default="default")
    parser.add_argument("--against")
    parser.add_argument("--images", type=int, default=130)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    captioner = looksay.load(chosen.model)
    works = {"tags on": (captioner, True), "tags off": (captioner, False)}
    if chosen.against:
        works[f"{Path(chosen.against).name}"] = (looksay.load(chosen.against), True)
    means: dict[str, list[float]] = {name: [] for name in works}
    for folder in chosen.data:
        paths = images(folder, chosen.images)
        taken: dict[str, list[float]] = {name: [] for name in works}
        for path in paths * chosen.rounds:
            for name, (one, tags) in works.items():
                start = time.perf_counter()
                one(path, tags=tags)
                taken[name].append(1000 * (time.perf_counter() - start))
        for name, each in taken.items():
            means[name].append(mean(each))
            print(f"{folder.name}, {name}: mean {mean(each):.1f} ms, median {median(each):.1f} ms")
    *_, last = works
    for name, each in means.items():
        print(f"{name}: mean {mean(each):.1f} ms, {mean(each) / mean(means[last]):.2f} times {last}")


if __name__ == "__main__":
    main()
