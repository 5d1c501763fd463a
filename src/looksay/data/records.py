"""What a data set is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from looksay.errors import DataError
from looksay.option_fields import option

SPLITS = ("train", "val", "test")
ALL = "all"


@dataclass(frozen=True)
class Record:
    """An image and the captions that people wrote for it.

    Attributes
    ----------
    image : Path
    references : tuple of str
        Its captions, as written.
    split : {"train", "val", "test"}
    id : str
        The data set's own number for the image (COCO's image id), or empty.
    source : str
        In a mixture of data sets, the one it is from; else empty.
    """

    image: Path
    references: tuple[str, ...]
    split: str
    id: str = ""
    source: str = ""


@dataclass(frozen=True)
class Dataset:
    """The records of a folder.

    Attributes
    ----------
    folder : Path
        Or the file that was read.
    layout : str
        What the folder was recognised as, for the log.
    records : tuple of Record
    problems : tuple of str
        What was left out and why, a line each.
    """

    folder: Path
    layout: str
    records: tuple[Record, ...]
    problems: tuple[str, ...] = ()

    def split(self, name: str) -> list[Record]:
        """Return the records of a split, or those of ``all``.

        Raises
        ------
        DataError
            If there are none.
        """
        records = [record for record in self.records if name in (record.split, ALL)]
        if not records:
            counts = Counter(record.split for record in self.records)
            there = ", ".join(f"{split} ({counts[split]:,} images)" for split in SPLITS if counts[split])
            raise DataError(f"{self.folder} has no {name} split; it has {there} [{self.layout}]")
        return records


@dataclass(frozen=True)
class ReadOptions:
    """What a data set's own files may not say.

    Attributes
    ----------
    image_column, caption_column, split_column : str
        Columns of a CSV, TSV or JSONL file; empty to guess them from the header.
    split_seed : int
        Where a data set has no splits, each image's is drawn from its name and this number.
    """

    image_column: str = option("", "Column of images in a CSV, TSV or JSONL file; empty to detect it.")
    caption_column: str = option("", "Column of captions; empty to detect it.")
    split_column: str = option("", "Column of splits; empty to detect it.")
    split_seed: int = option(0, "Seed of random splits, for a data set without splits.")
