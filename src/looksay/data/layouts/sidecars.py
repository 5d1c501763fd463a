"""A folder of images, each with its captions in a text file beside it: photo.jpg and photo.txt."""

from __future__ import annotations

from pathlib import Path

from looksay import images as image_files
from looksay.data import splits, text_files
from looksay.data.dataset_builder import DatasetBuilder


def read(folder: Path) -> DatasetBuilder | None:
    """Read every image below a folder that has a text file beside it, a caption a line; None if there is none.

    Folders train, val and test, if all images are in such, are the splits.
    """
    photos = list(image_files.find([str(folder)]))
    texts_of = {image: image.with_suffix(".txt") for image in photos}
    if not any(text.is_file() for text in texts_of.values()):
        return None
    found = DatasetBuilder(folder, "images with text files beside them")
    tops = {image: splits.named(image.relative_to(folder).parts[0]) for image in photos}
    has_splits = all(tops[image] for image, text in texts_of.items() if text.is_file())
    for image, text in texts_of.items():
        name = image.relative_to(folder).as_posix()
        if not text.is_file():
            found.set_aside("images without a text file, left out", [name])
            continue
        split = tops[image] if has_splits else ""
        place = text.relative_to(folder).as_posix()
        found.add(name, [], place, split)
        for number, caption in text_files.lines(text):
            found.add(name, [caption], f"{place}, line {number}", split)
    for text in sorted(set(folder.rglob("*.txt")) - set(texts_of.values())):
        found.problem("text files that no image is beside", text.relative_to(folder).as_posix())
    return found
