"""Flickr8k and Flickr30k in their authors' layout: ``NAME.jpg#0``, a tab, a caption."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container
from pathlib import Path

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.errors import DataError

TOKENS = {"Flickr8k.token.txt": "Flickr8k", "results_20130124.token": "Flickr30k"}
LISTS = {
    split: f"Flickr_8k.{name}Images.txt" for split, name in {"train": "train", "val": "dev", "test": "test"}.items()
}
_COPY_NUMBER = re.compile(r"\.\d+$")  # the official file names one image 2258277193_586949ec62.jpg.1


def read(folder: Path, *, with_lists: bool = False) -> DatasetBuilder | None:
    """Read a token file; return None if there is none, or none beside Flickr8k's official lists of images."""
    file = _token_file(folder)
    if file is None or (with_lists and not (file.parent / LISTS["train"]).is_file()):
        return None
    return read_file(file, folder)


def read_file(file: Path, folder: Path) -> DatasetBuilder:
    """Read a token file, with the splits of the lists beside it."""
    captions = _captions(file)
    split_of = _listed_splits(file, captions)
    tokens = f"{TOKENS.get(file.name, 'Flickr')} tokens {file.name}"
    builder = DatasetBuilder(folder, "Flickr8k, original layout" if split_of else tokens)
    for name in split_of or captions:
        for line, caption in captions[name]:
            builder.add(name, [caption], f"{file.name}, line {line}", split_of.get(name, ""))
    if split_of:
        builder.exclude("images with captions in none of the existing lists", sorted(captions.keys() - split_of))
    return builder


def _listed_splits(file: Path, captions: Container[str]) -> dict[str, str]:
    """Return the split of each image in the lists beside a token file."""
    split_of: dict[str, str] = {}
    for split, name in LISTS.items():
        list_file = file.parent / name
        for number, image in text_files.lines(list_file) if list_file.is_file() else []:
            place = f"{list_file}, line {number}"
            if image not in captions:
                raise DataError(f"{place}: {image} has no caption in {file.name}")
            if (known := split_of.setdefault(image, split)) != split:
                raise DataError(f"{place}: {image} is in the {split} split, and in the {known} split")
    return split_of


def _token_file(folder: Path) -> Path | None:
    """Return the token file in a folder, or in its folder of texts, which Kaggle's copies have two levels down."""
    places = ("", "*[tT]ext*/", "flickr30k/", "*/*[tT]ext*/")
    return next((file for place in places for name in TOKENS for file in sorted(folder.glob(place + name))), None)


def _captions(file: Path) -> dict[str, list[tuple[int, str]]]:
    """Return line numbers and captions by image."""
    captions: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, line in text_files.lines(file):
        key, tab, caption = line.partition("\t")
        name, mark, caption_number = key.rpartition("#")
        if not mark or not (tab or caption_number.isdecimal()):
            raise DataError(f"{file}, line {number}: expected NAME.jpg#0, a tab and a caption; got {line!r}")
        captions[_COPY_NUMBER.sub("", name)].append((number, caption))
    return captions
