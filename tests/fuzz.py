"""Broken images by the thousand: ``python tests/fuzz.py FOLDER [--count 10000] [--seed 0]`` writes them.

Each is an image in a format that this Pillow writes, with some bytes changed, inserted, repeated, removed or set to
extreme values. ``tests/test_fuzz.py`` captions them.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image

FORMATS = {
    "JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "JPEG2000": ".jp2",
    "PPM": ".ppm", "AVIF": ".avif",
}  # fmt: skip
EXTREMES = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\xff\xff", b"\x80\x00\x00\x00")


def seeds(photo: Path) -> Iterator[tuple[str, bytes]]:
    """Yield images of every format that Pillow can write: (suffix, bytes)."""
    Image.init()
    with Image.open(photo) as opened:
        small = opened.convert("RGB").resize((96, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(small.convert("L")).astype(np.uint16) * 257)
    more: dict[str, list[tuple[Image.Image, dict[str, Any]]]] = {
        "JPEG": [(small, {"progressive": True, "exif": exif}), (small.convert("CMYK"), {}), (small.convert("L"), {})],
        "PNG": [(small.convert("P"), {"icc_profile": b"profile" * 9}), (deep, {}), (small.convert("RGBA"), {})],
        "GIF": [(small, {"save_all": True, "append_images": [small.rotate(9)] * 3})],
        "WEBP": [(small, {"save_all": True, "append_images": [small.rotate(9)] * 2}), (small, {"lossless": True})],
        "TIFF": [(small, {"compression": name}) for name in ("tiff_lzw", "jpeg", "packbits")] + [(deep, {})],
    }
    for name, ending in FORMATS.items():
        if name not in Image.SAVE:
            continue
        for image, options in [(small, {}), *more.get(name, [])]:
            file = io.BytesIO()
            image.save(file, name, **options)
            yield ending, file.getvalue()


def mutate(data: bytes, draw: Generator) -> bytes:
    """Break a file in one to four places, more often near its beginning, where its header is."""
    broken = bytearray(data)
    for _ in range(int(draw.integers(1, 5))):
        size = len(broken)
        near = min(size, 64) if draw.random() < 0.5 else size
        place, length = int(draw.integers(0, max(1, near))), int(draw.integers(1, 33))
        kind = int(draw.integers(0, 7))
        if kind == 0:
            broken[place : place + 1] = draw.bytes(1)
        elif kind == 1:
            broken[place : place + 4] = EXTREMES[int(draw.integers(0, len(EXTREMES)))]
        elif kind == 2:
            broken[place : place + length] = draw.bytes(length)
        elif kind == 3:
            del broken[place : place + length]
        elif kind == 4:
            broken[place:place] = broken[place : place + length] * int(draw.integers(1, 50))
        elif kind == 5:
            del broken[max(1, place) :]
        elif size:
            broken[place % size] ^= 1 << int(draw.integers(0, 8))
    return bytes(broken)


def write(folder: Path, photo: Path, count: int, seed: int = 0) -> None:
    """Write broken images."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = list(seeds(photo))
    draw = np.random.default_rng(seed)
    for number in range(count):
        ending, data = whole[number % len(whole)]
        (folder / f"{number:05}{ending}").write_bytes(mutate(data, draw))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write(given.folder, Path(__file__).parent.parent / "examples" / "boats.jpg", given.count, given.seed)
