"""Which split an image is in: named by the data set, or drawn."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_NAMES = {
    "train": ("train", "training", "restval"),  # Karpathy's restval: COCO's val images that papers train on
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in _NAMES.items() for name in names}
KNOWN = ", ".join(_SPLIT_OF)


def named(name: str) -> str:
    """Return the split that people call `name`; empty if it is no such word."""
    return _SPLIT_OF.get(name.strip().lower(), "")


def in_file_name(stem: str) -> str:
    """Return the split that a file's or a folder's name tells: ``captions_train2017``, ``my-val``; empty if none."""
    found = {named(word) for word in re.split(r"[^a-z]+", stem.lower())} - {""}
    return found.pop() if len(found) == 1 else ""


def draw(names: Iterable[str], seed: int) -> dict[str, str]:
    """Draw a split for each image: 6/8 train, 1/8 val, 1/8 test.

    It depends on the image's name and the seed alone, so it is the same on every machine and whatever other images
    there are; only where so few images would leave val or test empty, one is taken from train.
    """
    marks = {name: hashlib.sha256(f"{seed}/{name}".encode(errors="surrogatepass")).digest() for name in names}
    drawn = {name: {6: "val", 7: "test"}.get(mark[0] % 8, "train") for name, mark in marks.items()}
    spare = sorted((name for name, split in drawn.items() if split == "train"), key=lambda name: marks[name])
    for split in ("val", "test"):
        if split not in drawn.values() and len(spare) > 1:
            drawn[spare.pop()] = split
    return drawn
