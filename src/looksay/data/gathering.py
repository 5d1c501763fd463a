"""Captions one by one → records, and a count of all that was wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from looksay.data import splits, texts
from looksay.data.records import Dataset, ReadOptions, Record
from looksay.errors import DataError
from looksay.images import EXTENSIONS

_EMPTY = "empty captions, left out"
_SAMPLE = 50  # pictures looked for to find the folder they are in


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
        name = self._inside(name, place)
        if not name:
            self.problem("captions for no picture, left out", place)
            return
        known = splits.named(split) if split else ""
        if split and not known:
            raise DataError(f"{place}: there is no split {split!r}; looksay knows {splits.KNOWN}")
        picture = self._pictures.setdefault(name, _Picture([], known, id, place))
        if picture.split != known:
            here, there = (f"the {each} split" if each else "no split" for each in (known, picture.split))
            raise DataError(f"{place}: {name} is in {here}, and in {there} at {picture.place}")
        if id and picture.id != id:
            self.problem("pictures listed twice, joined", f"{place}: {name}")
        for caption in captions:
            text = self._text(caption, place)
            if not text:
                self.problem(_EMPTY, place)
                continue
            if text in picture.references:  # kept, as coco-caption counts them
                self.problem("duplicate captions of a picture, kept", place)
            picture.references.append(text)

    def _inside(self, name: Any, place: str) -> str:
        """Return a picture's path within the data set, which a data set from anywhere must not leave."""
        if not isinstance(name, str):
            raise DataError(f"{place}: expected the name of a picture, got {name!r}")
        path = PurePosixPath(name.strip().replace("\\", "/"))
        if path.is_absolute() and path.is_relative_to(self.folder.absolute()):
            path = path.relative_to(self.folder.absolute())
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{place}: the picture {name!r} would lie outside {self.folder}; name it relative to that")
        return "" if path == PurePosixPath() else str(path)

    def _text(self, caption: Any, place: str) -> str:
        if caption is None:
            return ""
        if not isinstance(caption, str):
            raise DataError(f"{place}: expected a caption, got {caption!r}")
        text = " ".join(caption.split())
        whole = text.encode(errors="replace").decode()
        if whole != text:
            self.problem("captions with broken characters, which became ?", place)
        return whole

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
        told = set(self._problems.get(_EMPTY, ()))
        for name, picture in list(self._pictures.items()):
            if not picture.references:
                if picture.place not in told:
                    self.problem("pictures listed without a caption, left out", f"{picture.place}: {name}")
                self._set_aside.add(name)
                del self._pictures[name]
        if not self._pictures:
            why = "; ".join(self._told()) or "it is empty"
            raise DataError(f"{self.folder} has no captions; {why} [{self.layout}]")
        self._check_splits()
        paths = self._paths(thorough=pictures)
        if pictures:
            self._check(paths)
        layout, drawn = texts.printable(self.layout), {}
        if not any(picture.split for picture in self._pictures.values()):
            drawn = splits.draw(paths, options.split_seed)
            layout += f"; no splits of its own, so drawn by picture with seed {options.split_seed}"
        records = tuple(
            Record(path, tuple(found.references), found.split or drawn[name], found.id)
            for name, path in paths.items()
            if (found := self._pictures[name])
        )
        return Dataset(self.folder, layout, records, tuple(self._told()))

    def _check_splits(self) -> None:
        without = [name for name, picture in self._pictures.items() if not picture.split]
        if without and len(without) < len(self._pictures):
            place = self._pictures[without[0]].place
            raise DataError(f"{place}: {without[0]} is in no split, but others are; give each a split, or none")

    def _told(self) -> Iterator[str]:
        for kind, places in self._problems.items():
            yield texts.counted(kind, places)

    def _paths(self, *, thorough: bool) -> dict[str, Path]:
        """Return each picture's path: in the folder that holds most of a sample, or, if thorough, in any other."""
        folders = _folders(self.folder)
        whole = {name: name for name in self._pictures}
        short = {name: PurePosixPath(name).name for name in whole}  # Karpathy's val2014/x.jpg may lie as x.jpg
        if len(set(short.values())) < len(short):
            short = whole
        sample = list(whole)[:: max(1, len(whole) // _SAMPLE)]
        found = [(names, folder) for names in (whole, short) for folder in folders]
        names, best = max(found, key=lambda each: sum(_is_file(each[1] / each[0][name]) for name in sample))

        def path(name: str) -> Path:
            own = best / names[name]
            others = (folder / names[name] for folder in folders)
            return own if not thorough or _is_file(own) else next(filter(_is_file, others), own)

        return {name: path(name) for name in whole}

    def _check(self, paths: dict[str, Path]) -> None:
        """Leave out pictures that are not there; count pictures that are there and have no caption."""
        for name in [name for name, path in paths.items() if not _is_file(path)]:
            self.problem("pictures that are named but not there, left out", f"{self._pictures[name].place}: {name}")
            del paths[name]
        if not paths:
            first, looked = next(iter(self._pictures)), ", ".join(map(str, _folders(self.folder)))
            raise DataError(f"none of the {len(self._pictures)} pictures is there, {first} for one; looked in {looked}")
        known = {path.name for path in paths.values()} | {PurePosixPath(name).name for name in self._set_aside}
        for folder in sorted({path.parent for path in paths.values()}):
            for file in sorted(folder.iterdir()):
                if file.suffix.lower() in EXTENSIONS and file.name not in known:
                    self.problem("pictures without a caption", str(file.relative_to(self.folder)))


def _folders(root: Path) -> list[Path]:
    """Return where pictures may be: the folder itself, those in it, and those of the same name in these (Kaggle)."""
    below = sorted(path for path in _listed(root) if path.is_dir() and not path.name.startswith("."))
    return [root, *(inner for folder in below for inner in (folder, folder / folder.name) if inner.is_dir())]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # a folder that may not be looked into holds no pictures for us
        return []


def _is_file(path: Path) -> bool:
    """Is there such a file? No for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
