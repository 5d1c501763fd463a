"""Splits: their names, and drawing them where a data set has none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

_NAMES = {
    "train": ("train", "training", "restval"),  # Karpathy's restval: COCO's val images that papers train on
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in _NAMES.items() for name in names}
KNOWN = ", ".join(_SPLIT_OF)


def standard_name(name: str) -> str:
    """Return train, val or test for any usual name of it; empty for other words."""
    return _SPLIT_OF.get(name.strip().lower(), "")


def from_name(stem: str) -> str:
    """Return the split in the name of a file or folder (``captions_train2017``, ``my-val``); empty if none."""
    names = {standard_name(word) for word in re.split(r"[^a-z]+", stem.lower())} - {""}
    return names.pop() if len(names) == 1 else ""


def from_folders(name: str) -> str:
    """Return the split that a folder in an image's name has (``train/a.jpg``); empty if none."""
    return next(filter(None, map(standard_name, PurePosixPath(name).parts[:-1])), "")


def draw(names: Iterable[str], seed: int | str, least: Sequence[str]) -> dict[str, str]:
    """Draw a split for each image: 6/8 train, 1/8 val, 1/8 test.

    An image's split depends only on its name and the seed, so it is the same on every machine and with any other
    images. Each name in `least` stands for an image that this split has at least: if it has none, it gets one of train,
    which keeps one.
    """
    digests = {name: hashlib.sha256(f"{seed}/{name}".encode(errors="surrogatepass")).digest() for name in names}
    drawn = {name: {6: "val", 7: "test"}.get(digest[0] % 8, "train") for name, digest in digests.items()}
    train = sorted((name for name, split in drawn.items() if split == "train"), key=lambda name: digests[name])
    for place, split in enumerate(least):
        has_enough = list(drawn.values()).count(split) >= least[: place + 1].count(split)
        if not has_enough and len(train) > 1:
            drawn[train.pop()] = split
    return drawn
