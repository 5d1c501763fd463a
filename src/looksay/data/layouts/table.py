"""A data set as one table or a table for each split, and Kaggle's copies of Flickr8k and Flickr30k."""

from __future__ import annotations

from pathlib import Path

from looksay.data import splits, table_reader
from looksay.data.dataset_builder import DatasetBuilder
from looksay.data.records import ReadOptions
from looksay.data.table_reader import SUFFIXES
from looksay.errors import DataError

_KAGGLE = {  # headers and layouts by file
    "captions.txt": (("image", "caption"), "Flickr8k, Kaggle's layout"),
    "results.csv": (("image_name", "comment_number", "comment"), "Flickr30k, Kaggle's layout"),
}


def read(folder: Path, options: ReadOptions) -> DatasetBuilder | None:
    """Read the table of a folder, or its tables named by split (train.csv, val.csv); return None if there is none."""
    tables = [
        file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES or file.name == "captions.txt"
    ]
    files = tables or [file for file in sorted(folder.glob("*/metadata.*")) if file.suffix.lower() in SUFFIXES]
    if not files:
        return None
    stems = {file: file.stem if file.parent == folder else file.parent.name for file in files}
    by_split = {split: file for file, stem in stems.items() if (split := splits.from_name(stem))}
    if len(by_split) == len(files) > 1:
        builder = DatasetBuilder(folder, f"tables {', '.join(str(file.relative_to(folder)) for file in files)}")
        for split, file in by_split.items():
            _add(builder, file, options, split)
        return builder
    candidates = [file for file in files if file.name in _KAGGLE] or files
    if len(candidates) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{folder} holds several tables: {names}; name one file")
    return read_file(candidates[0], folder, options)


def read_file(file: Path, folder: Path, options: ReadOptions) -> DatasetBuilder:
    """Read one table."""
    builder = DatasetBuilder(folder, f"table {file.name}")
    _add(builder, file, options, splits.from_name(file.stem))
    return builder


def _add(builder: DatasetBuilder, file: Path, options: ReadOptions, split: str) -> None:
    prefix = "" if file.parent == builder.folder else f"{file.parent.name}/"
    table = table_reader.read(file, options)
    for row in table.rows:
        builder.add(prefix + row.image if row.image else "", row.captions, row.place, row.split or split)
    for place in table.mended_rows:
        builder.add_problem("rows without one |, mended", place)
    columns = ", ".join(filter(None, (table.columns.image, *table.columns.captions, table.columns.split)))
    header, layout = _KAGGLE.get(file.name, ((), ""))
    builder.layout = layout if tuple(table.header) == header else f"{builder.layout}, columns {columns}"
