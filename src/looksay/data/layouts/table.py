"""A data set as one table or a table for each split, Kaggle's copies of Flickr8k and Flickr30k, and containers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from looksay.data import containers, splits, table_reader, text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.data.image_locations import root_of
from looksay.data.records import ReadOptions
from looksay.data.table_reader import SUFFIXES
from looksay.errors import DataError

_KAGGLE = {  # headers and layouts by file
    "captions.txt": (("image", "caption"), "Flickr8k, Kaggle's layout"),
    "results.csv": (("image_name", "comment_number", "comment"), "Flickr30k, Kaggle's layout"),
}
_SHARD = re.compile(r"(\d+-of-\d+|\d{5,}|(?<=[-_.])\d{1,3})(\.\w+)?$")  # the number at the end of a file's name
_TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_BELOW = (*SUFFIXES, ".tar")
_WRITTEN = {"recipe.toml", "report.html", "model.json"}  # each in a folder that looksay wrote
_MAX_NAMES = 6  # files listed in a layout


def read(folder: Path, options: ReadOptions, cache: Path | None = None) -> DatasetBuilder | None:
    """Read the tables of a folder, or those of Hugging Face's image folders; return None if there is none."""
    files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    tables = [file for file in files if file.suffix.lower() in _TEXTS or file.name == "captions.txt"]
    tables = tables or [file for file in folder.rglob("metadata.*") if file.suffix.lower() in SUFFIXES]
    tables = [file for file in tables if file.name in _KAGGLE and file.parent == folder] or tables
    return read_files(sorted(tables), folder, options, cache) if tables else None


def read_others(folder: Path, options: ReadOptions, cache: Path | None = None) -> DatasetBuilder | None:
    """Read JSON lists in a folder, or tables, Parquet files and tars below it; a spreadsheet is a `DataError`."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    groups = (
        [file for file in files if file.suffix.lower() == ".json" and text_files.read(file).lstrip().startswith("[")],
        sorted(file for file in _files_below(folder) if file.suffix.lower() in _BELOW),
        [file for file in files if file.suffix.lower() in text_files.SHEETS],
    )
    tables = next(filter(None, groups), None)
    return read_files(tables, folder, options, cache) if tables else None


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without hidden ones and those that looksay wrote: of runs, reports and models."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if Path(parent) != folder and not _WRITTEN.isdisjoint(names):
            folders.clear()
            continue
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def read_files(files: Sequence[Path], folder: Path, options: ReadOptions, cache: Path | None = None) -> DatasetBuilder:
    """Read one table, the tables of the splits (``train.csv``, ``val.csv``), or shards (``train-00000-of-00002``).

    Containers are unpacked to a folder in `cache`, by default the user's cache folder.
    """
    unpacked: dict[Path, Path] = {}
    if packed := [file for file in files if _is_container(file)]:
        files, options = packed, replace(options, image_column="")
        unpacked = containers.unpack(files, folder, cache)
    names = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
    series = {_SHARD.sub("", name): splits.from_name(name) for name in names}
    if len(series) > 1 and len(set(series.values()) - {""}) < len(series):
        raise DataError(f"{folder} holds several tables: {', '.join(file.name for file in files)}; name one file")
    shown = ", ".join(str(file.relative_to(folder)) for file in files[:_MAX_NAMES]) + ", …" * (len(files) > _MAX_NAMES)
    layout = f"table{'s' * (len(files) > 1)} {shown}"
    builder = DatasetBuilder(unpacked[files[0]].parent if unpacked else folder, layout, folder if unpacked else None)
    for file, name in zip(files, names, strict=True):
        _add(builder, file, options, splits.from_name(name), unpacked.get(file))
    return builder


def _is_container(file: Path) -> bool:
    suffix = file.suffix.lower()
    is_parquet = suffix == ".parquet"
    return suffix == ".tar" or (is_parquet and containers.image_column(containers.open_parquet(file)) != "")


def _add(builder: DatasetBuilder, file: Path, options: ReadOptions, split: str, unpacked: Path | None) -> None:
    is_beside = root_of(file.parent) != file.parent  # from the images, and not above them
    parent = PurePosixPath("." if unpacked or is_beside else file.parent.relative_to(builder.folder))
    table = table_reader.read(file, options, unpacked=unpacked)
    for row in table.rows:
        name = row.image if "://" in row.image or not row.image else str(parent / row.image)
        builder.add(name, row.captions, row.place, row.split or split)
    for place in table.mended_rows:
        builder.add_problem("rows without one |, mended", place)
    columns = ", ".join(filter(None, (table.columns.image, *table.columns.captions, table.columns.split)))
    header, layout = _KAGGLE.get(file.name, ((), ""))
    if tuple(table.header) == header:
        builder.layout = layout
    elif ", columns " not in builder.layout:
        builder.layout += f", columns {columns}"
