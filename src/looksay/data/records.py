"""What a data set is, and how its layout is recognised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from looksay.errors import DataError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Record:
    """A picture and the captions that people wrote for it.

    Attributes
    ----------
    image : Path
    references : tuple of str
        Its captions, as written.
    split : {"train", "val", "test"}
    """

    image: Path
    references: tuple[str, ...]
    split: str


@dataclass(frozen=True)
class Dataset:
    """The records of a folder.

    Attributes
    ----------
    folder : Path
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
        """Return the records of a split.

        Raises
        ------
        DataError
            If there are none.
        """
        records = [record for record in self.records if record.split == name]
        if not records:
            counts = ", ".join(f"{split} {sum(r.split == split for r in self.records)}" for split in SPLITS)
            raise DataError(f"{self.folder} ({self.layout}) has no {name} split; it has {counts}")
        return records


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
    from looksay.data import flickr

    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; name one with data.folder=DIR")
    for layout in (flickr.read_original, flickr.read_kaggle):
        if dataset := layout(folder):
            return dataset
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise DataError(
        f"{folder} is in no layout that looksay knows. Looked for {flickr.TOKENS} with {flickr.LISTS['train']} "
        f"(Flickr8k) and for {flickr.TABLE} with Images/ (Kaggle); found {found}"
    )
