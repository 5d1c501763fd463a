"""The records of a data set, and the options of reading it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from looksay.errors import DataError
from looksay.option_fields import option

SPLITS = ("train", "val", "test")
ALL = "all"
_NUMBER = re.compile(r"(?:COCO_\w+?_)?0*(\d+)(?:\.0+)?")

VAL_IMAGES = 2
"""The val images that training needs: CIDEr-D of one image is 0."""

_SMALL_BATCH = 8  # images in a batch of the recipe small
_STEPS = 500  # with fewer steps of training, captions are hardly sentences


@dataclass(frozen=True)
class Record:
    """An image and its reference captions."""

    image: Path
    references: tuple[str, ...]  # as their authors wrote them
    split: str  # train, val or test
    id: str = ""  # the data set's own number for the image (COCO's image id)
    source: str = ""  # in a mixture of data sets, the name of the record's data set


@dataclass(frozen=True)
class Dataset:
    """A data set that was read."""

    folder: Path
    layout: str  # the recognised layout, for the log
    records: tuple[Record, ...]
    problems: tuple[str, ...] = ()  # what was left out and why, one line for each kind

    def split(self, name: str) -> list[Record]:
        """Return the records of a split, or all records for ``all``; a `DataError` if there are none."""
        records = [record for record in self.records if name in (record.split, ALL)]
        if not records:
            counts = Counter(record.split for record in self.records)
            splits = ", ".join(f"{split} ({counts[split]:,} images)" for split in SPLITS if counts[split])
            raise DataError(f"{self.folder} has no {name} split; it has {splits} [{self.layout}]")
        return records

    def advice(self, batch_size: int = 32, epochs: int = 10, images: int = 0) -> str:
        """Return what to do if training on this data, by default with the usual recipe, makes too few steps.

        `images` are those of an epoch, by default all train images.
        """
        images = images or sum(record.split == "train" for record in self.records)
        steps = math.ceil(images / batch_size) * epochs
        if steps >= _STEPS:
            return ""
        recipe = "the recipe small, " if batch_size > _SMALL_BATCH else ""
        return (
            f"{images:,} train images make {steps:,} steps in {epochs} epochs of batches of {batch_size}: too few; "
            f"use {recipe}a smaller training.batch_size or more training.epochs, or mix in a large data set"
        )

    def val_problem(self) -> str:
        """Return why no checkpoint can be selected on this data, and what to do; empty if one can."""
        count = sum(record.split == "val" for record in self.records)
        if count >= VAL_IMAGES:
            return ""
        return (
            f"{self.folder} has {'one val image' if count else 'no val split'}: to train, CIDEr-D, which selects the "
            "checkpoint, needs two or more; draw some of the train images with data.draw_val=true (--draw-val)"
        )


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading a data set. A single caption column may be given as a string."""

    image_column: str = option(
        "", "Column of image names in a CSV, TSV or JSONL file; by default guessed from its name."
    )
    caption_column: tuple[str, ...] = option((), "Columns of captions; by default guessed from their names.")
    split_column: str = option("", "Column of splits; by default guessed from its name.")
    split_seed: int = option(0, "Seed for drawing splits by image where a data set has none.")
    draw_val: bool = option(
        False, "Draw an eighth of the train images as val split, where that has fewer than two images."
    )

    def __post_init__(self) -> None:
        columns: Any = self.caption_column
        if isinstance(columns, str):
            object.__setattr__(self, "caption_column", (columns,) if columns else ())


def by_source(records: Iterable[Record]) -> dict[str, list[int]]:
    """Return the indices of the records of each data set of a mixture, by its name, in order."""
    indices: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        indices.setdefault(record.source, []).append(index)
    return indices


def number_of(image_id: str) -> str:
    """Return the number in an id, ``42`` for 42.0, 000000000042 and COCO_val2014_000000000042; empty for other ids."""
    match = _NUMBER.fullmatch(image_id)
    return match[1] if match else ""
