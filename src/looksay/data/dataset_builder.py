"""Captions one by one → records, and a count of all that was wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from looksay.data import splits, text_files
from looksay.data.records import Dataset, ReadOptions, Record
from looksay.errors import DataError
from looksay.images import EXTENSIONS

_EMPTY = "empty captions, left out"
_SAMPLE = 50  # images looked for to find the folder they are in


@dataclass
class _Image:
    references: list[str]
    split: str
    id: str
    place: str


@dataclass
class DatasetBuilder:
    """Collects the captions of a data set; every layout is read through it, so all are checked alike.

    Parameters
    ----------
    folder : Path
        Where the data set is: its images are in it or below.
    layout : str
        What it was recognised as.
    """

    folder: Path
    layout: str
    _images: dict[str, _Image] = field(default_factory=dict)
    _problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _set_aside: set[str] = field(default_factory=set)

    def add(self, name: str, captions: Iterable[str], place: str, split: str = "", id: str = "") -> None:  # noqa: A002
        """Take captions of an image.

        Parameters
        ----------
        name : str
            The image's path within the data set.
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
            If the image would lie outside the data set, or if the split is unknown or another than before.
        """
        name = self._inside(name, place)
        if not name:
            self.problem("captions for no image, left out", place)
            return
        known = splits.named(split) if split else ""
        if split and not known:
            raise DataError(f"{place}: there is no split {split!r}; looksay knows {splits.KNOWN}")
        image = self._images.setdefault(name, _Image([], known, id, place))
        if image.split != known:
            here, there = (f"the {each} split" if each else "no split" for each in (known, image.split))
            raise DataError(f"{place}: {name} is in {here}, and in {there} at {image.place}")
        if id and image.id != id:
            self.problem("images listed twice, joined", f"{place}: {name}")
        for caption in captions:
            text = self._text(caption, place)
            if not text:
                self.problem(_EMPTY, place)
                continue
            if text in image.references:  # kept, as coco-caption counts them
                self.problem("duplicate captions of an image, kept", place)
            image.references.append(text)

    def _inside(self, name: Any, place: str) -> str:
        """Return an image's path within the data set, which a data set from anywhere must not leave."""
        if not isinstance(name, str):
            raise DataError(f"{place}: expected the name of an image, got {name!r}")
        path = PurePosixPath(name.strip().replace("\\", "/"))
        if path.is_absolute() and path.is_relative_to(self.folder.absolute()):
            path = path.relative_to(self.folder.absolute())
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{place}: the image {name!r} would lie outside {self.folder}; name it relative to that")
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
        """Count images that have captions and yet are no part of the data set."""
        self._set_aside.update(names)
        for name in names:
            self.problem(kind, name)

    def dataset(self, options: ReadOptions, *, images: bool = True) -> Dataset:
        """Find the images and return the records.

        Parameters
        ----------
        options : ReadOptions
        images : bool
            False where captions alone are wanted: then images may be absent.

        Raises
        ------
        DataError
            If no caption, or none of the images, is there.
        """
        told = set(self._problems.get(_EMPTY, ()))
        for name, image in list(self._images.items()):
            if not image.references:
                if image.place not in told:
                    self.problem("images listed without a caption, left out", f"{image.place}: {name}")
                self._set_aside.add(name)
                del self._images[name]
        if not self._images:
            why = "; ".join(self._told()) or "it is empty"
            raise DataError(f"{self.folder} has no captions; {why} [{self.layout}]")
        self._check_splits()
        paths = self._paths(thorough=images)
        if images:
            self._check(paths)
        layout, drawn = text_files.printable(self.layout), {}
        if not any(image.split for image in self._images.values()):
            drawn = splits.draw(paths, options.split_seed)
            layout += f"; no splits of its own, so drawn by image with seed {options.split_seed}"
        records = tuple(
            Record(path, tuple(found.references), found.split or drawn[name], found.id)
            for name, path in paths.items()
            if (found := self._images[name])
        )
        return Dataset(self.folder, layout, records, tuple(self._told()))

    def _check_splits(self) -> None:
        without = [name for name, image in self._images.items() if not image.split]
        if without and len(without) < len(self._images):
            place = self._images[without[0]].place
            raise DataError(f"{place}: {without[0]} is in no split, but others are; give each a split, or none")

    def _told(self) -> Iterator[str]:
        for kind, places in self._problems.items():
            yield text_files.counted(kind, places)

    def _paths(self, *, thorough: bool) -> dict[str, Path]:
        """Return each image's path: in the folder that holds most of a sample, or, if thorough, in any other."""
        folders = _folders(self.folder)
        whole = {name: name for name in self._images}
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
        """Leave out images that are not there; count images that are there and have no caption."""
        for name in [name for name, path in paths.items() if not _is_file(path)]:
            self.problem("images that are named but not there, left out", f"{self._images[name].place}: {name}")
            del paths[name]
        if not paths:
            first, looked = next(iter(self._images)), ", ".join(map(str, _folders(self.folder)))
            raise DataError(f"none of the {len(self._images)} images is there, {first} for one; looked in {looked}")
        known = {path.name for path in paths.values()} | {PurePosixPath(name).name for name in self._set_aside}
        for folder in sorted({path.parent for path in paths.values()}):
            for file in sorted(folder.iterdir()):
                if file.suffix.lower() in EXTENSIONS and file.name not in known:
                    self.problem("images without a caption", str(file.relative_to(self.folder)))


def _folders(root: Path) -> list[Path]:
    """Return where images may be: the folder itself, those in it, and those of the same name in these (Kaggle)."""
    below = sorted(path for path in _listed(root) if path.is_dir() and not path.name.startswith("."))
    return [root, *(inner for folder in below for inner in (folder, folder / folder.name) if inner.is_dir())]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # a folder that may not be looked into holds no images for us
        return []


def _is_file(path: Path) -> bool:
    """Is there such a file? No for names that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
