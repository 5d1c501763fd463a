"""A folder of images with their captions in text files: photo.jpg and photo.txt."""

from __future__ import annotations

from pathlib import Path

from looksay import image_files
from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder


def read(folder: Path) -> DatasetBuilder | None:
    """Read all images below a folder that have a text file with one caption a line; return None if there is none."""
    text_files_of = {image: image.with_suffix(".txt") for image in image_files.find([str(folder)])}
    with_text = {image for image, text in text_files_of.items() if text.is_file()}
    if not with_text:
        return None
    builder = DatasetBuilder(folder, "images with sidecar text files")
    for image, text in text_files_of.items():
        name, place = image.relative_to(folder).as_posix(), text.relative_to(folder).as_posix()
        if image not in with_text:
            builder.exclude("images without a text file, left out", [name])
            continue
        builder.add(name, [], place)
        for number, caption in text_files.lines(text):
            builder.add(name, [caption], f"{place}, line {number}")
    for text in sorted(set(folder.rglob("*.txt")) - set(text_files_of.values())):
        builder.add_problem("text files without an image", text.relative_to(folder).as_posix())
    return builder
