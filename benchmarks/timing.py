"""Timing, photos, records and output rows that the benchmarks share."""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable, Mapping
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnxruntime

from looksay import data, image_files, images
from looksay.captioner import Captioner
from looksay.data import Record
from looksay.errors import DataError
from looksay.runtime.bundle import ENCODER

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
LONG_SIDE = 500  # pixels, of the photos in Flickr8k

Works = Mapping[str, Callable[[], object]]


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that prints the description as it is."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def seconds_in_turns(works: Works, rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Return the seconds of each work in each round; in turns, because a slow moment then slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(warm_up + rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median seconds of a work, after a warm-up."""
    return statistics.median(seconds_in_turns({"": work}, rounds)[""])


def print_row(**figures: object) -> None:
    """Print a JSON object on a line, with its floats rounded."""
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps(rounded), flush=True)


def read_jpegs(folder: Path, count: int = 0) -> list[bytes]:
    """Return the photos of a folder as JPEGs with a long side of 500, repeated up to `count`."""
    jpegs = []
    for path in image_files.find([str(folder)]):
        photo = images.read(path)
        photo.thumbnail((LONG_SIDE, LONG_SIDE))
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=90)
        jpegs.append(file.getvalue())
    return list(islice(cycle(jpegs), max(count, len(jpegs))))


def held_out_records(folder: Path) -> list[Record]:
    """Return the records of the val split of a data set, or of all splits if it has no val split."""
    dataset = data.read(folder)
    try:
        return dataset.split("val")
    except DataError:
        return dataset.split("all")


def encoder_run(captioner: Captioner, photo: bytes | str, batch: int = 1) -> Callable[[], object]:
    """Return a function that runs the encoder on a batch of one photo, with ONNX Runtime's default options."""
    session = onnxruntime.InferenceSession(captioner.bundle.folder / ENCODER, providers=["CPUExecutionProvider"])
    pixels = np.repeat(captioner.prepare(photo)[0][None], batch, axis=0)
    return lambda: session.run(None, {"image": pixels})
