"""Flickr8k and Flickr30k, in the layout of their authors: ``NAME.jpg#0``, a tab, a caption."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from looksay.data import texts
from looksay.data.gathering import Gathering
from looksay.errors import DataError

TOKENS = {"Flickr8k.token.txt": "Flickr8k", "results_20130124.token": "Flickr30k"}
LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_TEXT_FOLDERS = (".", "Flickr8k_text", "flickr30k")
_COPY_MARK = re.compile(r"\.\d+$")  # the official file names one picture 2258277193_586949ec62.jpg.1


def read_with_lists(folder: Path) -> Gathering | None:
    """Read Flickr8k's tokens and its official lists of pictures; None if they are not there.

    Raises
    ------
    DataError
        If a line is broken, or if a listed picture has no caption or is in two lists.
    """
    file = _tokens(folder)
    if file is None or not (file.parent / LISTS["train"]).is_file():
        return None
    found = Gathering(folder, "Flickr8k, original layout")
    captions = _captions(file)
    listed = set()
    for split, name in LISTS.items():
        for number, picture in texts.lines(file.parent / name) if (file.parent / name).is_file() else []:
            place = f"{file.parent / name}, line {number}"
            if picture not in captions:
                raise DataError(f"{place}: {picture} has no caption in {file.name}")
            for line, caption in captions[picture] if picture not in listed else []:
                found.add(picture, [caption], f"{file.name}, line {line}", split)
            if picture in listed:
                found.add(picture, [], place, split)  # says which other list has it
            listed.add(picture)
    found.set_aside(
        "pictures that have captions but are in none of the lists that are here", sorted(captions.keys() - listed)
    )
    return found


def read_tokens(folder: Path) -> Gathering | None:
    """Read a token file that has no lists beside it; None if there is none."""
    file = _tokens(folder)
    return None if file is None else read_file(file, folder)


def read_file(file: Path, folder: Path) -> Gathering:
    """Read a token file.

    Raises
    ------
    DataError
        If a line is broken.
    """
    found = Gathering(folder, f"{TOKENS.get(file.name, 'Flickr')} tokens {file.name}")
    for name, captions in _captions(file).items():
        for line, caption in captions:
            found.add(name, [caption], f"{file.name}, line {line}")
    return found


def _tokens(folder: Path) -> Path | None:
    places = (folder / below / name for name in TOKENS for below in _TEXT_FOLDERS)
    return next((place for place in places if place.is_file()), None)


def _captions(file: Path) -> dict[str, list[tuple[int, str]]]:
    """Return each picture's captions with their lines."""
    captions: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, line in texts.lines(file):
        key, tab, caption = line.partition("\t")
        name, mark, number_of_it = key.rpartition("#")
        if not mark or not (tab or number_of_it.isdecimal()):
            raise DataError(f"{file}, line {number}: expected NAME.jpg#0, a tab and a caption; got {line!r}")
        captions[_COPY_MARK.sub("", name)].append((number, caption))
    return captions
