"""A folder or a file → its data set: which layout is it in?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from looksay.data import text_files
from looksay.data.dataset_builder import DatasetBuilder
from looksay.data.layouts import coco, flickr, karpathy, sidecars, table
from looksay.data.records import Dataset, ReadOptions
from looksay.data.table_reader import ENDINGS
from looksay.errors import DataError
from looksay.images import EXTENSIONS

_NAMED = 12  # files that are listed where nothing is recognised


def _layouts(options: ReadOptions) -> Iterator[Callable[[Path], DatasetBuilder | None]]:
    """Yield the layouts in the order that a folder is asked for them: those with official splits first."""
    yield flickr.read_with_lists
    yield karpathy.read
    yield coco.read
    yield flickr.read_tokens
    yield lambda folder: table.read(folder, options)
    yield sidecars.read


def read(source: Path, options: ReadOptions | None = None, *, images: bool = True) -> Dataset:
    """Recognise the layout of a data set and read it.

    Parameters
    ----------
    source : Path
        A folder in the layout of Flickr8k, Flickr30k, COCO or Karpathy, with a table of images and captions, or with
        images that have text files beside them; or the one file that holds the captions. Where a folder has several,
        the first that fits is read, in that order: so the official splits are used.
    options : ReadOptions, optional
    images : bool
        False where captions alone are wanted: then images may be absent.

    Raises
    ------
    DataError
        If no layout is recognised, or if a file is broken.
    """
    options = options or ReadOptions()
    if source.is_file():
        return _file(source, options).dataset(options, images=images)
    if not source.is_dir():
        raise DataError(f"{source}: there is no such folder or file; name the data set")
    for layout in _layouts(options):
        if found := layout(source):
            return found.dataset(options, images=images)
    names = sorted(path.name for path in source.iterdir())
    there = ", ".join([*names[:_NAMED], *["…"] * (len(names) > _NAMED)]) or "nothing"
    raise DataError(
        f"{source} is in no layout that looksay knows. Looked for {' and '.join(flickr.TOKENS)} (Flickr), "
        f"{karpathy.FILES} (Karpathy), annotations/{coco.FILES} (COCO), captions.txt, *{', *'.join(ENDINGS)} "
        f"(tables) and images with .txt files beside them; found {there}"
    )


def _file(file: Path, options: ReadOptions) -> DatasetBuilder:
    if file.suffix.lower() in EXTENSIONS:
        raise DataError(f"{file} is an image; name the folder of the data set, or the file that holds the captions")
    if file.suffix.lower() == ".json":
        content = text_files.json_object(file)
        return (
            karpathy.read_file(file, content, file.parent) if karpathy.fits(content) else coco.read_file(file, content)
        )
    if file.name in flickr.TOKENS or file.suffix == ".token":
        return flickr.read_file(file, file.parent)
    return table.read_file(file, file.parent, options)
