"""Flickr8k and Flickr30k, in the layout of their authors: ``NAME.jpg#0``, a tab, a caption."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.errors import DataError

TOKENS = {"Flickr8k.token.txt": "Flickr8k", "results_20130124.token": "Flickr30k"}
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_TEXT_FOLDERS = (".", "Flickr8k_text", "flickr30k")
_COPY_MARK = re.compile(r"\.\d+$")  # the official file names one image 2258277193_586949ec62.jpg.1


def read_with_lists(folder: Path) -> DatasetBuilder | None:
    """Read Flickr8k's tokens and its official lists of images; None if they are not there.

    Raises
    ------
    DataError
        If a line is broken, or if a listed image has no caption or is in two lists.
    """
    file = _tokens(folder)
    if file is None or not (file.parent / LISTS["train"]).is_file():
        return None
    found = DatasetBuilder(folder, "Flickr8k, original layout")
    captions = _captions(file)
    listed = set()
    for split, name in LISTS.items():
        for number, image in text_files.lines(file.parent / name) if (file.parent / name).is_file() else []:
            place = f"{file.parent / name}, line {number}"
            if image not in captions:
                raise DataError(f"{place}: {image} has no caption in {file.name}")
            for line, caption in captions[image] if image not in listed else []:
                found.add(image, [caption], f"{file.name}, line {line}", split)
            if image in listed:
                found.add(image, [], place, split)  # says which other list has it
            listed.add(image)
    found.set_aside(
        "images that have captions but are in none of the lists that are here", sorted(captions.keys() - listed)
    )
    return found


def read_tokens(folder: Path) -> DatasetBuilder | None:
    """Read a token file that has no lists beside it; None if there is none."""
    file = _tokens(folder)
    return None if file is None else read_file(file, folder)


def read_file(file: Path, folder: Path) -> DatasetBuilder:
    """Read a token file.

    Raises
    ------
    DataError
        If a line is broken.
    """
    found = DatasetBuilder(folder, f"{TOKENS.get(file.name, 'Flickr')} tokens {file.name}")
    for name, captions in _captions(file).items():
        for line, caption in captions:
            found.add(name, [caption], f"{file.name}, line {line}")
    return found


def _tokens(folder: Path) -> Path | None:
    places = (folder / below / name for name in TOKENS for below in _TEXT_FOLDERS)
    return next((place for place in places if place.is_file()), None)


def _captions(file: Path) -> dict[str, list[tuple[int, str]]]:
    """Return each image's captions with their lines."""
    captions: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, line in text_files.lines(file):
        key, tab, caption = line.partition("\t")
        name, mark, number_of_it = key.rpartition("#")
        if not mark or not (tab or number_of_it.isdecimal()):
            raise DataError(f"{file}, line {number}: expected NAME.jpg#0, a tab and a caption; got {line!r}")
        captions[_COPY_MARK.sub("", name)].append((number, caption))
    return captions
