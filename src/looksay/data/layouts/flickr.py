"""Flickr8k and Flickr30k in their authors' layout: ``NAME.jpg#0``, a tab, a caption."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.errors import DataError

TOKENS = {"Flickr8k.token.txt": "Flickr8k", "results_20130124.token": "Flickr30k"}
LISTS = {
    split: f"Flickr_8k.{name}Images.txt" for split, name in {"train": "train", "val": "dev", "test": "test"}.items()
}
_TEXT_FOLDERS = (".", "Flickr8k_text", "flickr30k")
_COPY_NUMBER = re.compile(r"\.\d+$")  # the official file names one image 2258277193_586949ec62.jpg.1


def read_with_lists(folder: Path) -> DatasetBuilder | None:
    """Read Flickr8k's token file and its official lists of images; return None if they do not exist."""
    file = _token_file(folder)
    if file is None or not (file.parent / LISTS["train"]).is_file():
        return None
    builder = DatasetBuilder(folder, "Flickr8k, original layout")
    captions = _captions(file)
    listed = set()
    for split, name in LISTS.items():
        list_file = file.parent / name
        for number, image in text_files.lines(list_file) if list_file.is_file() else []:
            place = f"{list_file}, line {number}"
            if image not in captions:
                raise DataError(f"{place}: {image} has no caption in {file.name}")
            if image in listed:
                builder.add(image, [], place, split)  # raises if the other list is of another split
                continue
            listed.add(image)
            for line, caption in captions[image]:
                builder.add(image, [caption], f"{file.name}, line {line}", split)
    builder.exclude("images with captions in none of the existing lists", sorted(captions.keys() - listed))
    return builder


def read_tokens(folder: Path) -> DatasetBuilder | None:
    """Read a token file without lists; return None if there is none."""
    file = _token_file(folder)
    return None if file is None else read_file(file, folder)


def read_file(file: Path, folder: Path) -> DatasetBuilder:
    """Read a token file."""
    builder = DatasetBuilder(folder, f"{TOKENS.get(file.name, 'Flickr')} tokens {file.name}")
    for name, captions in _captions(file).items():
        for line, caption in captions:
            builder.add(name, [caption], f"{file.name}, line {line}")
    return builder


def _token_file(folder: Path) -> Path | None:
    files = (folder / subfolder / name for name in TOKENS for subfolder in _TEXT_FOLDERS)
    return next((file for file in files if file.is_file()), None)


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
