"""Detection of a data set's layout."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.data.layouts import coco, flickr, karpathy, sidecars, table
from looksay.data.records import Dataset, ReadOptions
from looksay.data.table_reader import SUFFIXES
from looksay.errors import DataError
from looksay.images import EXTENSIONS

_MAX_NAMES = 12  # files listed in an error


def read(source: Path, options: ReadOptions | None = None, *, images: bool = True) -> Dataset:
    """Detect the layout of a data set and read it.

    Parameters
    ----------
    source : Path
        A folder in the layout of Flickr8k, Karpathy, COCO or Flickr30k, with a table of images and captions, or with
        images and sidecar text files; or the file that holds the captions. Of several layouts in a folder the first in
        this order is read, so that official splits are used.
    options : ReadOptions, optional
    images : bool
        Whether the images must exist.

    Raises
    ------
    DataError
        If no layout is recognised, or if a file is broken.
    """
    options = options or ReadOptions()
    if source.is_file():
        return _read_file(source, options).build(options, images=images)
    if not source.is_dir():
        raise DataError(f"{source}: no such folder or file; name the data set")
    for read_layout in (  # those with official splits first
        flickr.read_with_lists,
        karpathy.read,
        coco.read,
        flickr.read_tokens,
        partial(table.read, options=options),
        sidecars.read,
    ):
        if builder := read_layout(source):
            return builder.build(options, images=images)
    names = sorted(path.name for path in source.iterdir())
    listing = ", ".join([*names[:_MAX_NAMES], *["…"] * (len(names) > _MAX_NAMES)]) or "no files"
    raise DataError(
        f"{source} is in no known layout. Expected {' or '.join(flickr.TOKENS)} (Flickr), {karpathy.FILES} (Karpathy), "
        f"annotations/{coco.FILES} (COCO), captions.txt, *{', *'.join(SUFFIXES)} (tables) or images with sidecar .txt "
        f"files; found {listing}"
    )


def _read_file(file: Path, options: ReadOptions) -> DatasetBuilder:
    if file.suffix.lower() in EXTENSIONS:
        raise DataError(f"{file} is an image; name the folder of the data set, or the file that holds the captions")
    if file.suffix.lower() == ".json":
        content = text_files.read_json_object(file)
        if karpathy.matches(content):
            return karpathy.read_file(file, content, file.parent)
        return coco.read_file(file, content)
    if file.name in flickr.TOKENS or file.suffix == ".token":
        return flickr.read_file(file, file.parent)
    return table.read_file(file, file.parent, options)
