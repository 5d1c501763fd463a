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
    """Read the caption files of a folder, one a split; None if there are none.

    Raises
    ------
    DataError
        If two files are of the same split (of other years, say), or if one is broken.
    """
    files = sorted((folder / "annotations").glob(FILES)) or sorted(folder.glob(FILES))
    if not files:
        return None
    found = DatasetBuilder(folder, f"COCO captions {', '.join(file.name for file in files)}")
    by_split: dict[str, Path] = {}
    for file in files:
        split = splits.in_file_name(file.stem)
        if len(files) > 1 and (split in by_split or not split):
            names = ", ".join(file.name for file in files)
            raise DataError(f"{folder}: it is unclear which of {names} is train and which val; name the file you mean")
        by_split[split] = file
        _take(found, file, text_files.json_object(file), split)
    return found


def fits(content: dict[str, Any]) -> bool:
    """Is this a file of COCO's captions?"""
    return isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list)


def read_file(file: Path, content: dict[str, Any]) -> DatasetBuilder:
    """Take the captions of a file that was read already; its name tells the split."""
    folder = file.parent.parent if file.parent.name == "annotations" else file.parent
    found = DatasetBuilder(folder, f"COCO captions {file.name}")
    _take(found, file, content, splits.in_file_name(file.stem))
    return found


def _take(found: DatasetBuilder, file: Path, content: dict[str, Any], split: str) -> None:
    if not fits(content):
        raise DataError(f'{file}: expected {{"images": […], "annotations": […]}} (COCO\'s captions)')
    below = _images(found.folder, file)
    names: dict[Any, str] = {}
    try:
        for number, image in enumerate(content["images"]):
            place = f"{file.name}, images[{number}]"
            if image["id"] in names:
                found.problem("images that are listed twice", f"{place}: id {image['id']}")
                continue
            names[image["id"]] = below + image["file_name"]
            found.add(names[image["id"]], [], place, split, str(image["id"]))
        for number, annotation in enumerate(content["annotations"]):
            place = f"{file.name}, annotations[{number}]"
            name = names.get(annotation["image_id"])
            if name is None:
                found.problem("captions for no image, left out", f"{place}: image_id {annotation['image_id']}")
            else:
                found.add(name, [annotation["caption"]], place, split)
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{place}: missing or of another kind than in COCO's form: {error}") from error


def _images(folder: Path, file: Path) -> str:
    """Return the folder of a file's images: ``train2017/`` for captions_train2017.json, or empty if it has none."""
    name = re.sub(r"^captions_", "", file.stem)
    return next((f"{below}/" for below in (name, f"images/{name}") if (folder / below).is_dir()), "")
