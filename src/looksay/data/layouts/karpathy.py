"""Karpathy's JSON files with the usual splits of COCO, Flickr8k and Flickr30k (Karpathy and Fei-Fei 2015)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.errors import DataError

FILES = "dataset*.json"


def read(folder: Path) -> DatasetBuilder | None:
    """Read the ``dataset*.json`` of a folder; return None if there is none."""
    files = sorted(folder.glob(FILES))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{folder} holds several data sets: {names}; name one file")
    return read_file(files[0], text_files.read_json_object(files[0]), folder) if files else None


def matches(content: dict[str, Any]) -> bool:
    """Return whether a file's content is in Karpathy's format."""
    images = content.get("images")
    return isinstance(images, list) and bool(images) and isinstance(images[0], dict) and "sentences" in images[0]


def read_file(file: Path, content: dict[str, Any], folder: Path) -> DatasetBuilder:
    """Read one file from its parsed content."""
    if not matches(content):
        raise DataError(
            f'{file}: expected {{"images": [{{"filename": …, "split": …, "sentences": …}}]}} (Karpathy\'s JSON)'
        )
    builder = DatasetBuilder(folder, f"Karpathy's JSON {file.name}")
    for number, image in enumerate(content["images"]):
        place = f"{file.name}, images[{number}]"
        try:
            name = "/".join(filter(None, (image.get("filepath", ""), image["filename"])))
            captions = [sentence.get("raw") or " ".join(sentence["tokens"]) for sentence in image["sentences"]]
            image_id = image.get("cocoid", image.get("imgid", ""))
            builder.add(name, captions, place, image["split"] or "", str(image_id))
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(f"{place}: missing key or wrong type in Karpathy's format: {error}") from error
    return builder
