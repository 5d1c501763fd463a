"""How long a caption takes, side by side: ``python benchmarks/speed.py [--model M] [--against M] [--photos DIR]``.

Times are medians, in milliseconds, of works that take turns: one photo after another, a stream of many against its
floor (to decode JPEGs with Pillow on all cores, and to run the encoder alone in ONNX Runtime, at its best batch), and
fresh processes. Ratios are to the encoder alone on one photo, to the floor, and to an empty Python.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

import looksay
from looksay import images
from looksay.captioner import Captioner
from looksay.runtime.bundle import ENCODER

EXAMPLES = Path(__file__).parent.parent / "examples"
ROUNDS = 15
LONG_SIDE = 500
STREAM = 400  # photos
STREAM_ROUNDS = 3


def milliseconds(work: Callable[[], object], images: int = 1, rounds: int = ROUNDS) -> float:
    """Return the median time of `work`, for each image."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times) / images


def tell(what: str, taken: float, base: float) -> None:
    """Print one JSON object a line."""
    print(json.dumps({"what": what, "ms": round(taken, 2), "ratio": round(taken / base, 2)}), flush=True)


def jpegs(folder: Path) -> list[bytes]:
    """Return the photos of a folder as JPEGs with a long side of 500."""
    found = []
    for path in images.find([str(folder)]):
        photo = images.read(path)
        photo.thumbnail((LONG_SIDE, LONG_SIDE))
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def side_by_side(works: dict[str, Callable[[], object]], images: int, rounds: int) -> dict[str, float]:
    """Return the median milliseconds a photo of each, timed in turns: what slows the machine slows them all."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:  # the first one warms up
                times[name].append(1000 * (time.perf_counter() - start) / images)
    return {name: statistics.median(each) for name, each in times.items()}


def encoder_alone(captioner: Captioner, photo: bytes, batch: int, repeat: int) -> Callable[[], object]:
    """Return what runs the encoder, as ONNX Runtime does by default, over batches of a photo again and again."""
    session = onnxruntime.InferenceSession(captioner.bundle.folder / ENCODER, providers=["CPUExecutionProvider"])
    pixels = np.repeat(captioner.prepare(photo)[0][None], batch, axis=0)
    return lambda: [session.run(None, {"image": pixels}) for _ in range(repeat // batch)]


def one_by_one(captioner: Captioner, photos: list[bytes], against: Captioner | None) -> None:
    """Tell how long a photo takes with the model loaded, and its parts."""
    photos = photos[:12]
    alone = "the encoder alone, in ONNX Runtime"
    works: dict[str, Callable[[], object]] = {
        alone: encoder_alone(captioner, photos[0], 1, len(photos)),
        "greedy, one photo at a time": lambda: [captioner(photo, num_beams=1) for photo in photos],
        "beam 3, one photo at a time": lambda: [captioner(photo, num_beams=3) for photo in photos],
        "beam 5, one photo at a time": lambda: [captioner(photo, num_beams=5) for photo in photos],
        "of it: read and prepare": lambda: [captioner.prepare(photo) for photo in photos],
    }
    if against:
        works["beam 3, the other model"] = lambda: [against(photo, num_beams=3) for photo in photos]
    found = side_by_side(works, len(photos), ROUNDS)
    for name, taken in found.items():
        tell(name, taken, found[alone])


def many(captioner: Captioner, photos: list[bytes], against: Captioner | None) -> None:
    """Tell how long a photo of a stream takes, against its floor."""
    stream = list(islice(cycle(photos), STREAM))
    side = captioner.bundle.spec.image.size

    def decode(photo: bytes) -> None:
        with Image.open(io.BytesIO(photo)) as opened:
            opened.draft("RGB", (side, side))
            opened.load()

    sizes = (1, 4, 8, 16)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        works: dict[str, Callable[[], object]] = {
            "decode JPEGs, all cores": lambda: list(pool.map(decode, stream)),
            "beam 3, a stream": lambda: list(captioner.captions(stream, num_beams=3)),
            "greedy, a stream": lambda: list(captioner.captions(stream, num_beams=1)),
        }
        works |= {f"the encoder alone, {n} together": encoder_alone(captioner, photos[0], n, STREAM) for n in sizes}
        if against:
            works["beam 3, a stream, the other model"] = lambda: list(against.captions(stream, num_beams=3))
        found = side_by_side(works, STREAM, STREAM_ROUNDS)
    floor = found["decode JPEGs, all cores"] + min(found[f"the encoder alone, {n} together"] for n in sizes)
    for name, taken in (found | {"floor: decode, and the encoder at its best": floor}).items():
        tell(name, taken, floor)


def processes() -> None:
    """Tell how long fresh processes take."""
    script, photo = str(Path(sys.executable).with_name("looksay")), str(EXAMPLES / "boats.jpg")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import looksay": [sys.executable, "-c", "import looksay"],
        "looksay --help": [script, "--help"],
        "looksay photo.jpg": [script, photo],
    }
    base = 0.0
    for name, command in commands.items():
        taken = milliseconds(lambda: subprocess.run(command, check=True, capture_output=True))  # noqa: B023
        base = base or taken
        tell(name, taken, base)


def main() -> None:
    """Measure one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--against", help="another model, timed beside it")
    parser.add_argument("--photos", type=Path, default=EXAMPLES)
    arguments = parser.parse_args()
    captioner, photos = looksay.load(arguments.model), jpegs(arguments.photos)
    against = looksay.load(arguments.against) if arguments.against else None
    one_by_one(captioner, photos, against)
    many(captioner, photos, against)
    processes()


if __name__ == "__main__":
    main()
