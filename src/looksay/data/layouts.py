"""A folder → its data set: which layout is it in?"""

from __future__ import annotations

from pathlib import Path

from looksay.data import flickr
from looksay.data.records import Dataset
from looksay.errors import DataError


def read(folder: Path) -> Dataset:
    """Recognise the layout of a data set and read it.

    Parameters
    ----------
    folder : Path
        A folder in Flickr8k's original layout or in Kaggle's. Where both are there, the original one is read,
        because it names the official splits.

    Raises
    ------
    DataError
        If no layout is recognised, or if a file is broken.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder; name the data set (train: data.folder=DIR, export: --data DIR)"
        )
    for layout in (flickr.read_original, flickr.read_kaggle):
        if dataset := layout(folder):
            return dataset
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise DataError(
        f"{folder} is in no layout that looksay knows. Looked for {flickr.TOKENS} with {flickr.LISTS['train']} "
        f"(Flickr8k) and for {flickr.TABLE} with Images/ (Kaggle); found {found}"
    )
