"""A folder of pictures, each with its captions in a text file beside it: photo.jpg and photo.txt."""

from __future__ import annotations

from pathlib import Path

from looksay import images
from looksay.data import splits, texts
from looksay.data.gathering import Gathering


def read(folder: Path) -> Gathering | None:
    """Read every picture below a folder that has a text file beside it, a caption a line; None if there is none.

    Folders train, val and test, if all pictures are in such, are the splits.
    """
    pictures = list(images.find([str(folder)]))
    texts_of = {picture: picture.with_suffix(".txt") for picture in pictures}
    if not any(text.is_file() for text in texts_of.values()):
        return None
    found = Gathering(folder, "pictures with text files beside them")
    tops = {picture: splits.named(picture.relative_to(folder).parts[0]) for picture in pictures}
    has_splits = all(tops[picture] for picture, text in texts_of.items() if text.is_file())
    for picture, text in texts_of.items():
        name = picture.relative_to(folder).as_posix()
        if not text.is_file():
            found.set_aside("pictures without a text file, left out", [name])
            continue
        split = tops[picture] if has_splits else ""
        place = text.relative_to(folder).as_posix()
        found.add(name, [], place, split)
        for number, caption in texts.lines(text):
            found.add(name, [caption], f"{place}, line {number}", split)
    for text in sorted(set(folder.rglob("*.txt")) - set(texts_of.values())):
        found.problem("text files that no picture is beside", text.relative_to(folder).as_posix())
    return found
