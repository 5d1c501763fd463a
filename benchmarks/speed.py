"""How long a caption takes, side by side in one run: python benchmarks/speed.py [--model M].

Times are the median of several runs over the sample photos, in milliseconds a photo; ratios are to greedy search on
one photo at a time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import looksay
from looksay import images

PHOTOS = sorted(p for p in (Path(__file__).parent.parent / "examples").iterdir() if p.suffix in (".jpg", ".png"))
ROUNDS = 15


def milliseconds(work: Callable[[], object], pictures: int) -> float:
    """Return the median time of `work`, for each picture."""
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times) / pictures


def process(code: str) -> float:
    """Return the median time of a fresh Python that runs `code`, in milliseconds."""
    return milliseconds(lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True), 1)


def main() -> None:
    """Print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    captioner = looksay.load(parser.parse_args().model)
    pixels = [images.prepare(photo, captioner.bundle.spec.image) for photo in PHOTOS]
    work: dict[str, Callable[[], object]] = {
        "greedy, one photo at a time": lambda: [captioner(photo, beam=1) for photo in PHOTOS],
        "beam 3, one photo at a time": lambda: [captioner(photo, beam=3) for photo in PHOTOS],
        "beam 5, one photo at a time": lambda: [captioner(photo, beam=5) for photo in PHOTOS],
        "beam 3, all photos in a batch": lambda: list(captioner.captions(PHOTOS, beam=3, batch=len(PHOTOS))),
        "of it: read and prepare": lambda: [images.prepare(photo, captioner.bundle.spec.image) for photo in PHOTOS],
        "of it: the encoder": lambda: [captioner.encode(array[None]) for array in pixels],
    }
    base = 0.0
    for name, call in work.items():
        taken = milliseconds(call, len(PHOTOS))
        base = base or taken
        print(json.dumps({"what": name, "ms a photo": round(taken, 1), "ratio": round(taken / base, 2)}))
    empty = process("pass")
    photo = str(PHOTOS[0])
    for name, code in {
        "import looksay": "import looksay",
        "first caption of a process": f"import looksay; looksay.caption({photo!r})",
    }.items():
        print(json.dumps({"what": name, "ms over an empty Python": round(process(code) - empty, 1)}))


if __name__ == "__main__":
    main()
