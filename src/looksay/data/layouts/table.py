"""A data set as a table, or as a table for each split; and Kaggle's copies of Flickr8k and Flickr30k."""

from __future__ import annotations

from pathlib import Path

from looksay.data import splits
from looksay.data.dataset_builder import DatasetBuilder
from looksay.data.records import ReadOptions
from looksay.data.table_reader import ENDINGS, Table
from looksay.errors import DataError

_KAGGLE = {  # file and header to what they are
    ("captions.txt", ("image", "caption")): "Flickr8k, Kaggle's layout",
    ("results.csv", ("image_name", "comment_number", "comment")): "Flickr30k, Kaggle's layout",
}


def read(folder: Path, options: ReadOptions) -> DatasetBuilder | None:
    """Read the table of a folder, or its tables named after their splits (train.csv, val.csv); None if it has none.

    Raises
    ------
    DataError
        If it is unclear which table is meant, or if one is broken.
    """
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS or file.name == "captions.txt"]
    files = files or [file for file in sorted(folder.glob("*/metadata.*")) if file.suffix.lower() in ENDINGS]
    by_split = {split: file for file in files if (split := _split_of(file, folder))}
    if not files:
        return None
    if len(by_split) == len(files) > 1:
        found = DatasetBuilder(folder, f"tables {', '.join(str(file.relative_to(folder)) for file in files)}")
        for split, file in by_split.items():
            _take(found, file, options, split)
        return found
    kaggle = [file for file in files if any(file.name == name for name, _ in _KAGGLE)]
    if len(kaggle or files) == 1:
        return read_file((kaggle or files)[0], folder, options)
    names = ", ".join(file.name for file in files)
    raise DataError(f"{folder} holds several tables: {names}; name the file of the one you mean")


def read_file(file: Path, folder: Path, options: ReadOptions) -> DatasetBuilder:
    """Read one table.

    Raises
    ------
    DataError
        If its columns are not recognised, or if a row is broken.
    """
    found = DatasetBuilder(folder, f"table {file.name}")
    _take(found, file, options, splits.in_file_name(file.stem))
    return found


def _split_of(file: Path, folder: Path) -> str:
    return splits.in_file_name(file.stem if file.parent == folder else file.parent.name)


def _take(found: DatasetBuilder, file: Path, options: ReadOptions, split: str) -> None:
    below = "" if file.parent == found.folder else f"{file.parent.name}/"
    table = Table(file, options)
    for entry in table:
        found.add(below + entry.image if entry.image else "", entry.captions, entry.place, entry.split or split)
    for place in table.mended:
        found.problem("rows that lack a |, mended", place)
    columns = ", ".join(filter(None, (table.columns.image, *table.columns.captions, table.columns.split)))
    found.layout = _KAGGLE.get((file.name, table.header)) or f"{found.layout}, columns {columns}"
