"""COCO's caption annotations (Chen et al. 2015), and Karpathy's JSON files of COCO, Flickr8k and Flickr30k (2015)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from looksay.data import splits, text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.data.records import number_of
from looksay.errors import DataError

KARPATHY_FILES, COCO_FILES = "dataset*.json", "captions_*.json"


def read_karpathy(folder: Path) -> DatasetBuilder | None:
    """Read the ``dataset*.json`` of a folder; return None if there is none."""
    files = sorted(folder.glob(KARPATHY_FILES))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{folder} holds several data sets: {names}; name one file")
    return _read_karpathy(files[0], text_files.read_json_object(files[0])) if files else None


def read_coco(folder: Path) -> DatasetBuilder | None:
    """Read the ``annotations/captions_*.json`` of a folder, one for each split; return None if there are none."""
    files = sorted((folder / "annotations").glob(COCO_FILES)) or sorted(folder.glob(COCO_FILES))
    if not files:
        return None
    names = ", ".join(file.name for file in files)
    file_splits = [splits.from_name(file.stem) for file in files]
    if len(files) > 1 and ("" in file_splits or len(set(file_splits)) < len(files)):
        raise DataError(f"{folder}: the splits of {names} are ambiguous; name one file")
    builder = DatasetBuilder(folder, f"COCO captions {names}")
    for file, split in zip(files, file_splits, strict=True):
        _add_coco(builder, file, text_files.read_json_object(file), split)
    return builder


def read_file(file: Path, folder: Path, content: dict[str, Any]) -> DatasetBuilder:
    """Read the content of one file in either format."""
    if _is_karpathy(content):
        return _read_karpathy(file, content)
    builder = DatasetBuilder(folder, f"COCO captions {file.name}")
    _add_coco(builder, file, content, splits.from_name(file.stem))
    return builder


def _is_karpathy(content: dict[str, Any]) -> bool:
    images = content.get("images")
    return isinstance(images, list) and bool(images) and isinstance(images[0], dict) and "sentences" in images[0]


def _read_karpathy(file: Path, content: dict[str, Any]) -> DatasetBuilder:
    if not _is_karpathy(content):
        raise DataError(
            f'{file}: expected {{"images": [{{"filename": …, "split": …, "sentences": …}}]}} (Karpathy\'s JSON)'
        )
    builder = DatasetBuilder(file.parent, f"Karpathy's JSON {file.name}")
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


def _add_coco(builder: DatasetBuilder, file: Path, content: dict[str, Any], split: str) -> None:
    if not (isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list)):
        raise DataError(f'{file}: expected {{"images": […], "annotations": […]}} (COCO\'s captions)')
    prefix = _image_folder(builder.folder, file)
    names: dict[str, str] = {}
    numbers = {"": ""}  # names by the number in their id; empty where there is none or several images have it
    try:
        for number, image in enumerate(content["images"]):
            place = f"{file.name}, images[{number}]"
            image_id = _id_text(image["id"])
            if image_id in names:
                builder.add_problem("images listed twice", f"{place}: id {image_id}")
                continue
            name = names[image_id] = prefix + image["file_name"]
            numbers[number_of(image_id)] = "" if number_of(image_id) in numbers else name
            builder.add(name, [], place, split, image_id)
        for number, annotation in enumerate(content["annotations"]):
            place = f"{file.name}, annotations[{number}]"
            image_id = _id_text(annotation["image_id"])
            if name := names.get(image_id) or numbers.get(number_of(image_id)):
                builder.add(name, [annotation["caption"]], place, split)
            else:
                builder.add_problem("captions without an image, left out", f"{place}: image_id {image_id}")
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{place}: missing key or wrong type in COCO's format: {error}") from error


def _id_text(image_id: Any) -> str:
    """Return an id as text: files of other tools have 42, 42.0 or "42"."""
    if isinstance(image_id, bool) or not isinstance(image_id, str | int | float):
        raise TypeError(f"the id {image_id!r} is no number and no text")
    is_whole = isinstance(image_id, float) and image_id.is_integer()
    return str(int(image_id) if is_whole else image_id).strip()


def _image_folder(folder: Path, file: Path) -> str:
    """Return ``train2017/`` for captions_train2017.json if that folder exists, or empty."""
    name = re.sub(r"^captions_", "", file.stem)
    return next((f"{path}/" for path in (name, f"images/{name}") if (folder / path).is_dir()), "")
