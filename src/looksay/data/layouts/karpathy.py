"""Karpathy's JSON, with the splits that papers use: COCO, Flickr8k and Flickr30k (Karpathy and Fei-Fei 2015)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.errors import DataError

FILES = "dataset*.json"


def read(folder: Path) -> DatasetBuilder | None:
    """Read the one ``dataset*.json`` of a folder; None if there is none.

    Raises
    ------
    DataError
        If there are several, or if the file is broken.
    """
    files = sorted(folder.glob(FILES))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{folder} holds several data sets: {names}; name the file of the one you mean")
    return read_file(files[0], text_files.json_object(files[0]), folder) if files else None


def fits(content: dict[str, Any]) -> bool:
    """Is this Karpathy's JSON?"""
    images = content.get("images")
    return isinstance(images, list) and bool(images) and isinstance(images[0], dict) and "sentences" in images[0]


def read_file(file: Path, content: dict[str, Any], folder: Path) -> DatasetBuilder:
    """Take the captions of a file that was read already.

    Raises
    ------
    DataError
        If something in it is missing or has another form.
    """
    if not fits(content):
        raise DataError(
            f'{file}: expected {{"images": [{{"filename": …, "split": …, "sentences": …}}]}} (Karpathy\'s JSON)'
        )
    found = DatasetBuilder(folder, f"Karpathy's JSON {file.name}")
    for number, image in enumerate(content["images"]):
        place = f"{file.name}, images[{number}]"
        try:
            name = "/".join(filter(None, (image.get("filepath", ""), image["filename"])))
            captions = [sentence.get("raw") or " ".join(sentence["tokens"]) for sentence in image["sentences"]]
            number_of_its_own = image.get("cocoid", image.get("imgid", ""))
            found.add(name, captions, place, image["split"] or "", str(number_of_its_own))
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(f"{place}: missing or of another kind than in Karpathy's form: {error}") from error
    return found
