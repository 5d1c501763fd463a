"""COCO's caption annotations (Chen et al. 2015): ``annotations/captions_*.json``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from looksay.data import splits, text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.errors import DataError

FILES = "captions_*.json"


def read(folder: Path) -> DatasetBuilder | None:
    """Read the caption files of a folder, one for each split; return None if there are none."""
    files = sorted((folder / "annotations").glob(FILES)) or sorted(folder.glob(FILES))
    if not files:
        return None
    names = ", ".join(file.name for file in files)
    file_splits = [splits.from_name(file.stem) for file in files]
    if len(files) > 1 and ("" in file_splits or len(set(file_splits)) < len(files)):
        raise DataError(f"{folder}: the splits of {names} are ambiguous; name one file")
    builder = DatasetBuilder(folder, f"COCO captions {names}")
    for file, split in zip(files, file_splits, strict=True):
        _add(builder, file, text_files.read_json_object(file), split)
    return builder


def matches(content: dict[str, Any]) -> bool:
    """Return whether a file's content is in COCO's format."""
    return isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list)


def read_file(file: Path, content: dict[str, Any]) -> DatasetBuilder:
    """Read one file from its parsed content."""
    folder = file.parent.parent if file.parent.name == "annotations" else file.parent
    builder = DatasetBuilder(folder, f"COCO captions {file.name}")
    _add(builder, file, content, splits.from_name(file.stem))
    return builder


def _add(builder: DatasetBuilder, file: Path, content: dict[str, Any], split: str) -> None:
    if not matches(content):
        raise DataError(f'{file}: expected {{"images": […], "annotations": […]}} (COCO\'s captions)')
    prefix = _image_folder(builder.folder, file)
    names: dict[Any, str] = {}
    try:
        for number, image in enumerate(content["images"]):
            place = f"{file.name}, images[{number}]"
            if image["id"] in names:
                builder.add_problem("images listed twice", f"{place}: id {image['id']}")
                continue
            names[image["id"]] = prefix + image["file_name"]
            builder.add(names[image["id"]], [], place, split, str(image["id"]))
        for number, annotation in enumerate(content["annotations"]):
            place = f"{file.name}, annotations[{number}]"
            name = names.get(annotation["image_id"])
            if name is None:
                builder.add_problem(
                    "captions without an image, left out", f"{place}: image_id {annotation['image_id']}"
                )
            else:
                builder.add(name, [annotation["caption"]], place, split)
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{place}: missing key or wrong type in COCO's format: {error}") from error


def _image_folder(folder: Path, file: Path) -> str:
    """Return ``train2017/`` for captions_train2017.json if that folder exists, or empty."""
    name = re.sub(r"^captions_", "", file.stem)
    return next((f"{path}/" for path in (name, f"images/{name}") if (folder / path).is_dir()), "")
