"""Captions one by one → records, and a count of all that was wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from looksay.data import splits
from looksay.data.records import Dataset, ReadOptions, Record
from looksay.errors import DataError
from looksay.images import EXTENSIONS

_PLACES = 5  # rows that a problem names
_SAMPLE = 20  # pictures looked for to find the folder they are in


@dataclass
class _Picture:
    references: list[str]
    split: str
    id: str
    place: str


@dataclass
class Gathering:
    """Collects the captions of a data set; every layout is read through it, so all are checked alike.

    Parameters
    ----------
    folder : Path
        Where the data set is: its pictures are in it or below.
    layout : str
        What it was recognised as.
    """

    folder: Path
    layout: str
    _pictures: dict[str, _Picture] = field(default_factory=dict)
    _problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _set_aside: set[str] = field(default_factory=set)

    def add(self, name: str, captions: Iterable[str], place: str, split: str = "", id: str = "") -> None:  # noqa: A002
        """Take captions of a picture.

        Parameters
        ----------
        name : str
            The picture's path within the data set.
        captions : iterable of str
        place : str
            File and row, for people to find what is wrong with it.
        split : str
            As the data set calls it; empty if it has no splits.
        id : str
            See `Record`.

        Raises
        ------
        DataError
            If the picture would lie outside the data set, or if the split is unknown or another than before.
        """
        name = name.strip().replace("\\", "/")
        if not name:
            self.problem("captions for no picture, left out", place)
            return
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{place}: the picture {name!r} would lie outside {self.folder}; name it relative to that")
        known = splits.named(split) if split else ""
        if split and not known:
            raise DataError(f"{place}: there is no split {split!r}; looksay knows {splits.KNOWN}")
        picture = self._pictures.setdefault(name, _Picture([], known, id, place))
        if picture.split != known:
            there = picture.split or "no"
            raise DataError(
                f"{place}: {name} is in the {known or 'no'} split, and in the {there} split at {picture.place}"
            )
        for caption in captions:
            text = " ".join(caption.split())
            if not text:
                self.problem("empty captions, left out", place)
                continue
            if text in picture.references:  # kept, as coco-caption counts them
                self.problem("captions that their picture has already, kept", place)
            picture.references.append(text)

    def problem(self, kind: str, place: str) -> None:
        """Count something that is wrong: ``"empty captions, left out"`` at ``"captions.txt, line 5"``."""
        self._problems[kind].append(place)

    def set_aside(self, kind: str, names: Sequence[str]) -> None:
        """Count pictures that have captions and yet are no part of the data set."""
        self._set_aside.update(names)
        for name in names:
            self.problem(kind, name)

    def dataset(self, options: ReadOptions, *, pictures: bool = True) -> Dataset:
        """Find the pictures and return the records.

        Parameters
        ----------
        options : ReadOptions
        pictures : bool
            False where captions alone are wanted: then pictures may be absent.

        Raises
        ------
        DataError
            If no caption, or none of the pictures, is there.
        """
        for name, picture in list(self._pictures.items()):
            if not picture.references:
                self.problem("pictures without any caption, left out", f"{picture.place}: {name}")
                self._set_aside.add(name)
                del self._pictures[name]
        if not self._pictures:
            why = "; ".join(self._told()) or "it is empty"
            raise DataError(f"{self.folder} ({self.layout}) has no captions; {why}")
        paths = self._paths()
        if pictures:
            self._check(paths)
        layout = self.layout
        if drawn := {} if any(p.split for p in self._pictures.values()) else splits.draw(paths, options.split_seed):
            layout += f" (no splits of its own; drawn by picture, seed {options.split_seed})"
        records = tuple(
            Record(path, tuple(found.references), found.split or drawn[name], found.id)
            for name, path in paths.items()
            if (found := self._pictures[name])
        )
        return Dataset(self.folder, layout, records, tuple(self._told()))

    def _told(self) -> Iterator[str]:
        for kind, places in self._problems.items():
            more = "; …" if len(places) > _PLACES else ""
            yield f"{kind}: {len(places):,} ({'; '.join(places[:_PLACES])}{more})"

    def _paths(self) -> dict[str, Path]:
        """Return each picture's path, in the first folder that holds one of the first pictures."""
        whole = {name: name for name in self._pictures}
        short = {name: Path(name).name for name in whole}  # Karpathy's COCO says val2014/x.jpg for what may be x.jpg
        for names in (whole, short):
            sample = list(names.values())[:_SAMPLE]
            for folder in _folders(self.folder):
                if any((folder / name).is_file() for name in sample):
                    return {name: folder / file for name, file in names.items()}
        return {name: self.folder / name for name in whole}

    def _check(self, paths: dict[str, Path]) -> None:
        """Leave out pictures that are not there; count pictures that are there and have no caption."""
        for name in [name for name, path in paths.items() if not path.is_file()]:
            self.problem("pictures that are named but not there, left out", f"{self._pictures[name].place}: {name}")
            del paths[name]
        if not paths:
            first, looked = next(iter(self._pictures)), ", ".join(map(str, _folders(self.folder)))
            raise DataError(f"none of the {len(self._pictures)} pictures is there, {first} for one; looked in {looked}")
        known = {path.name for path in paths.values()} | {Path(name).name for name in self._set_aside}
        for folder in sorted({path.parent for path in paths.values()}):
            for file in sorted(folder.iterdir()):
                if file.suffix.lower() in EXTENSIONS and file.name not in known:
                    self.problem("pictures that no caption is for", str(file.relative_to(self.folder)))


def _folders(root: Path) -> Iterator[Path]:
    """Yield where pictures may be: the folder itself, those in it, and folders of the same name in those (Kaggle)."""
    yield root
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        yield folder
        if (folder / folder.name).is_dir():
            yield folder / folder.name
