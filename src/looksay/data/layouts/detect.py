"""Detection of a data set's layout."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.data.image_locations import root_of
from looksay.data.layouts import coco_karpathy, flickr, sidecars, table
from looksay.data.records import Dataset, ReadOptions
from looksay.data.table_reader import SUFFIXES
from looksay.errors import DataError
from looksay.image_files import EXTENSIONS

_MAX_NAMES = 12  # files listed in an error


def read(
    source: Path, options: ReadOptions | None = None, *, images: bool = True, cache: Path | None = None
) -> Dataset:
    """Detect the layout of a data set and read it.

    Parameters
    ----------
    source : Path
        A folder in the layout of Flickr8k, Karpathy, COCO or Flickr30k, with tables of images and captions, with
        Parquet files or WebDataset tars that hold both, or with images and sidecar text files; or the file that holds
        the captions. Of several layouts in a folder the first in this order is read, so that official splits are used.
    options : ReadOptions, optional
    images : bool
        Whether the images must exist.
    cache : Path, optional
        The folder where Parquet files and tars are unpacked; by default the user's cache folder.

    Raises
    ------
    DataError
        If no layout is recognised, or if a file is broken.
    """
    options = options or ReadOptions()
    if source.is_file():
        return _read_file(source, options, cache).build(options, images=images)
    if not source.is_dir():
        raise DataError(f"{source}: no such folder or file; name the data set")
    source = root_of(source)
    readers = (  # those with official splits first
        partial(flickr.read, with_lists=True), coco_karpathy.read_karpathy, coco_karpathy.read_coco, flickr.read,
        partial(table.read, options=options, cache=cache), sidecars.read,
        partial(table.read_others, options=options, cache=cache),
    )  # fmt: skip
    for read_layout in readers:
        if builder := read_layout(source):
            return builder.build(options, images=images)
    inner = [path for path in source.glob("[!.]*") if path.is_dir()]
    if len(inner) == 1:  # an unpacked archive
        return read(inner[0], options, images=images, cache=cache)
    names = sorted(path.name for path in source.iterdir())
    listing = ", ".join([*names[:_MAX_NAMES], *["…"] * (len(names) > _MAX_NAMES)]) or "no files"
    raise DataError(
        f"{source} is in no known layout. Expected {' or '.join(flickr.TOKENS)} (Flickr), "
        f"{coco_karpathy.KARPATHY_FILES} (Karpathy), annotations/{coco_karpathy.COCO_FILES} (COCO), captions.txt, "
        f"*{', *'.join(SUFFIXES)} (tables), *.tar (WebDataset) or images with sidecar .txt files; found {listing}"
    )


def _read_file(file: Path, options: ReadOptions, cache: Path | None) -> DatasetBuilder:
    suffix = file.suffix.lower()
    if suffix in EXTENSIONS:
        raise DataError(f"{file} is an image; name the folder of the data set, or the file that holds the captions")
    folder = root_of(file.parent)
    if suffix == ".json":
        content = text_files.parse_json(text_files.read(file), str(file))
        if isinstance(content, dict) and content.keys() & {"images", "annotations"}:
            return coco_karpathy.read_file(file, folder, content)
    if file.name in flickr.TOKENS or file.suffix == ".token":
        return flickr.read_file(file, folder)
    return table.read_files([file], folder, options, cache)
