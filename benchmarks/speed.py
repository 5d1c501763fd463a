"""How long a caption takes, side by side in one run: ``python benchmarks/speed.py [--model M] [--photos DIR]``.

Times are medians, in milliseconds: of one photo after another, of a stream of many against its floor (to decode JPEGs
with Pillow on all cores, and to run the encoder alone in ONNX Runtime, at its best batch), and of fresh processes.
Ratios are to the encoder alone on one photo, to the floor, and to an empty Python.
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
from looksay.bundle import ENCODER
from looksay.captioner import Captioner

EXAMPLES = Path(__file__).parent.parent / "examples"
ROUNDS = 15
LONG_SIDE = 500
STREAM = 400  # photos


def milliseconds(work: Callable[[], object], pictures: int = 1, rounds: int = ROUNDS) -> float:
    """Return the median time of `work`, for each picture."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times) / pictures


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


def encoder_alone(captioner: Captioner, photo: bytes, batch: int) -> float:
    """Return the milliseconds a photo of the encoder as ONNX Runtime runs it by default."""
    session = onnxruntime.InferenceSession(captioner.bundle.folder / ENCODER, providers=["CPUExecutionProvider"])
    pixels = np.repeat(captioner.prepare(photo)[0][None], batch, axis=0)
    return milliseconds(lambda: session.run(None, {"image": pixels}), batch, 60 // batch)


def one_by_one(captioner: Captioner, photos: list[bytes]) -> None:
    """Tell how long a photo takes with the model loaded, and its parts."""
    base = encoder_alone(captioner, photos[0], 1)
    work: dict[str, Callable[[], object]] = {
        "greedy, one photo at a time": lambda: [captioner(photo, beam=1) for photo in photos],
        "beam 3, one photo at a time": lambda: [captioner(photo, beam=3) for photo in photos],
        "beam 5, one photo at a time": lambda: [captioner(photo, beam=5) for photo in photos],
        "of it: read and prepare": lambda: [captioner.prepare(photo) for photo in photos],
    }
    tell("the encoder alone, in ONNX Runtime", base, base)
    for name, call in work.items():
        tell(name, milliseconds(call, len(photos)), base)


def many(captioner: Captioner, photos: list[bytes]) -> None:
    """Tell how long a photo of a stream takes, against its floor."""
    stream = list(islice(cycle(photos), STREAM))
    side = captioner.bundle.spec.image.size

    def decode(photo: bytes) -> None:
        with Image.open(io.BytesIO(photo)) as opened:
            opened.draft("RGB", (side, side))
            opened.load()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoding = milliseconds(lambda: list(pool.map(decode, stream)), STREAM, 3)
    floor = decoding + min(encoder_alone(captioner, photos[0], batch) for batch in (1, 4, 8, 16))
    tell("floor: decode JPEGs, and the encoder alone", floor, floor)
    tell("beam 3, a stream", milliseconds(lambda: list(captioner.captions(stream, beam=3)), STREAM, 3), floor)
    tell("greedy, a stream", milliseconds(lambda: list(captioner.captions(stream, beam=1)), STREAM, 3), floor)


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
    parser.add_argument("--photos", type=Path, default=EXAMPLES)
    arguments = parser.parse_args()
    captioner, photos = looksay.load(arguments.model), jpegs(arguments.photos)
    one_by_one(captioner, photos)
    many(captioner, photos)
    processes()


if __name__ == "__main__":
    main()
