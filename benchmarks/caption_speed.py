"""The time a caption takes: ``python benchmarks/caption_speed.py [--model M] [--against M] [--photos DIR]``.

Median milliseconds per photo, measured in turns: photos one at a time, a stream of photos against its floor (JPEG
decoding with Pillow on all cores, plus the encoder alone in ONNX Runtime at its best batch size), and new processes.
Ratios are to the encoder alone on one photo, to the floor, and to an empty Python process.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

from PIL import Image
from timing import EXAMPLES, Works, encoder_run, parser, print_row, read_jpegs, seconds_in_turns

import looksay
from looksay.captioner import Captioner

ROUNDS = 15
STREAM = 400  # photos
STREAM_ROUNDS = 3


def milliseconds(works: Works, photos: int, rounds: int) -> dict[str, float]:
    """Return the median milliseconds per photo of each work."""
    return {name: 1000 * median(seconds) / photos for name, seconds in seconds_in_turns(works, rounds).items()}


def print_ratios(results: dict[str, float], base: float) -> None:
    """Print a row for each result."""
    for name, value in results.items():
        print_row(what=name, ms=round(value, 2), ratio=round(value / base, 2))


def one_by_one(captioner: Captioner, photos: list[bytes], against: Captioner | None) -> None:
    """Time photos one at a time with the model loaded, and the parts of it."""
    photos = photos[:12]
    encode = encoder_run(captioner, photos[0])
    works: Works = {
        "the encoder alone, in ONNX Runtime": lambda: [encode() for _ in photos],
        "greedy, one photo at a time": lambda: [captioner(photo, num_beams=1) for photo in photos],
        "beam 3, one photo at a time": lambda: [captioner(photo, num_beams=3) for photo in photos],
        "beam 5, one photo at a time": lambda: [captioner(photo, num_beams=5) for photo in photos],
        "of it: read and prepare": lambda: [captioner.prepare(photo) for photo in photos],
    }
    if against:
        works = {**works, "beam 3, the other model": lambda: [against(photo, num_beams=3) for photo in photos]}
    results = milliseconds(works, len(photos), ROUNDS)
    print_ratios(results, results["the encoder alone, in ONNX Runtime"])


def stream(captioner: Captioner, photos: list[bytes], against: Captioner | None) -> None:
    """Time a stream of photos, and its floor."""
    size = captioner.bundle.spec.image.size

    def decode_jpeg(photo: bytes) -> None:
        with Image.open(io.BytesIO(photo)) as image:
            image.draft("RGB", (size, size))
            image.load()

    def encode_all(batch: int) -> object:
        encode = encoders[batch]
        return [encode() for _ in range(STREAM // batch)]

    encoders = {batch: encoder_run(captioner, photos[0], batch) for batch in (1, 4, 8, 16)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        works: Works = {
            "decode JPEGs, all cores": lambda: list(pool.map(decode_jpeg, photos)),
            "beam 3, a stream": lambda: list(captioner.captions(photos, num_beams=3)),
            "greedy, a stream": lambda: list(captioner.captions(photos, num_beams=1)),
            **{f"the encoder alone, batch {batch}": partial(encode_all, batch) for batch in encoders},
        }
        if against:
            other = against
            works = {**works, "beam 3, a stream, the other model": lambda: list(other.captions(photos, num_beams=3))}
        results = milliseconds(works, STREAM, STREAM_ROUNDS)
    encoder = min(results[f"the encoder alone, batch {batch}"] for batch in encoders)
    floor = results["decode JPEGs, all cores"] + encoder
    print_ratios(results | {"floor: JPEG decoding, and the encoder at its best": floor}, floor)


def processes() -> None:
    """Time new processes."""
    script, photo = str(Path(sys.executable).with_name("looksay")), str(EXAMPLES / "boats.jpg")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import looksay": [sys.executable, "-c", "import looksay"],
        "looksay --help": [script, "--help"],
        "looksay photo.jpg": [script, photo],
    }
    run = partial(subprocess.run, check=True, capture_output=True)
    results = milliseconds({name: partial(run, command) for name, command in commands.items()}, 1, ROUNDS)
    print_ratios(results, results["python -c pass"])


def main() -> None:
    """Measure one after another."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--against", help="another model to compare with")
    arguments.add_argument("--photos", type=Path, default=EXAMPLES)
    options = arguments.parse_args()
    captioner = looksay.load(options.model)
    against = looksay.load(options.against) if options.against else None
    one_by_one(captioner, read_jpegs(options.photos), against)
    stream(captioner, read_jpegs(options.photos, STREAM)[:STREAM], against)
    processes()


if __name__ == "__main__":
    main()
