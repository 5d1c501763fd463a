"""Builder of data sets: it checks captions and images and collects problems."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from looksay.data import splits, text_files
from looksay.data.image_locations import is_file, locate
from looksay.data.records import VAL_IMAGES, Dataset, ReadOptions, Record
from looksay.errors import DataError
from looksay.image_files import EXTENSIONS

_EMPTY = "empty captions, left out"
_SITE_OR_QUERY = re.compile(r"^\w+://[^/]*/|[?#].*")
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f]")


@dataclass
class _Image:
    references: list[str]
    split: str
    id: str
    place: str


@dataclass
class DatasetBuilder:
    """Collects the captions of a data set; all layouts use it, so that all are checked alike."""

    folder: Path
    layout: str
    source: Path | None = None  # what the user named, where the images were unpacked from it to `folder`
    _images: dict[str, _Image] = field(default_factory=dict)
    _problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _excluded: set[str] = field(default_factory=set)
    _has_urls: bool = False

    def add(self, name: str, captions: Iterable[str], place: str, split: str = "", id: str = "") -> None:  # noqa: A002
        """Add captions of an image.

        `name` is a path in the folder, `place` the file and row for messages, and `split` any usual name of a split,
        which must not change; for `id` see `Record`.
        """
        name = self._normalise_name(name, place)
        if not name:
            self.add_problem("captions without an image, left out", place)
            return
        standard_split = splits.standard_name(split) if split else ""
        if split and not standard_split:
            raise DataError(f"{place}: unknown split {split!r}; use one of {splits.KNOWN}")
        image = self._images.setdefault(name, _Image([], standard_split, id, place))
        if image.split != standard_split:
            here, there = (f"the {known} split" if known else "no split" for known in (standard_split, image.split))
            raise DataError(f"{place}: {name} is in {here}, and in {there} at {image.place}")
        if id and image.id != id:
            self.add_problem("images listed twice, merged", f"{place}: {name}")
        for caption in captions:
            text = self._clean(caption, place)
            if not text:
                self.add_problem(_EMPTY, place)
                continue
            if text in image.references:
                self.add_problem("duplicate captions of an image, kept", place)  # coco-caption counts both
            image.references.append(text)

    def _normalise_name(self, name: Any, place: str) -> str:
        """Return the relative path of an image; untrusted data sets must not name files outside their folder."""
        if not isinstance(name, str):
            raise DataError(f"{place}: expected the name of an image, got {name!r}")
        if "://" in name:  # of which the file may be at hand
            self._has_urls, name = True, _SITE_OR_QUERY.sub("", name.strip())
        path = PurePosixPath(name.strip().replace("\\", "/"))
        if path.is_absolute() and path.is_relative_to(self.folder.absolute()):
            path = path.relative_to(self.folder.absolute())
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{place}: image {name!r} is outside {self.folder}; use a path relative to that folder")
        return "" if path == PurePosixPath() else str(path)

    def _clean(self, caption: Any, place: str) -> str:
        if caption is None:
            return ""
        if not isinstance(caption, str):
            raise DataError(f"{place}: expected a caption, got {caption!r}")
        text = " ".join(caption.split())
        valid = _CONTROL.sub("?", text.encode(errors="replace").decode())
        if valid != text:
            self.add_problem("captions with invalid characters, replaced by ?", place)
        return valid

    def add_problem(self, kind: str, place: str) -> None:
        """Count a problem: ``"empty captions, left out"`` at ``"captions.txt, line 5"``."""
        self._problems[kind].append(place)

    def exclude(self, kind: str, names: Sequence[str]) -> None:
        """Count images that are no part of the data set although they have captions or are in its folder."""
        self._excluded.update(names)
        for name in names:
            self.add_problem(kind, name)

    def build(self, options: ReadOptions, *, images: bool = True) -> Dataset:
        """Locate the images and return the data set; without `images` they need not exist."""
        self._exclude_uncaptioned()
        if not self._images:
            reason = "; ".join(self._problem_lines()) or "it is empty"
            raise DataError(f"{self.source or self.folder} has no captions; {reason} [{self.layout}]")
        self._check_splits()
        paths, ambiguous = locate(self.folder, self._images)
        for name in ambiguous:
            self.add_problem(
                "images found in several folders, taken from the one with most images",
                f"{self._images[name].place}: {name}",
            )
        if images:
            self._check_images(paths)
        layout, split_of = text_files.printable(self.layout), {name: self._images[name].split for name in paths}
        if not any(split_of.values()):
            split_of = {name: splits.from_folders(name) for name in paths}
            if "" in split_of.values() or len(set(split_of.values())) == 1:
                split_of = splits.draw(paths, options.split_seed, ["val", "test", *["val"] * (VAL_IMAGES - 1)])
                layout += f"; no splits of its own, so drawn by image with seed {options.split_seed}"
        if options.draw_val and list(split_of.values()).count("val") < VAL_IMAGES:
            train = [name for name, split in split_of.items() if split == "train"]
            drawn = splits.draw(
                train, f"val {options.split_seed}", ["val"] * VAL_IMAGES
            )  # not the draw that made train
            split_of |= {name: "val" for name in train if drawn[name] == "val"}
            layout += f"; val drawn from train with seed {options.split_seed}"
        records = []
        for name, path in paths.items():
            image = self._images[name]
            records.append(Record(path, tuple(image.references), split_of[name], image.id))
        return Dataset(self.source or self.folder, layout, tuple(records), tuple(self._problem_lines()))

    def _problem_lines(self) -> list[str]:
        return [text_files.describe_problem(kind, places) for kind, places in self._problems.items()]

    def _exclude_uncaptioned(self) -> None:
        empty_places = set(self._problems.get(_EMPTY, ()))
        for name, image in list(self._images.items()):
            if not image.references:
                if image.place not in empty_places:
                    self.add_problem("images listed without a caption, left out", f"{image.place}: {name}")
                self._excluded.add(name)
                del self._images[name]

    def _check_splits(self) -> None:
        unassigned = [name for name, image in self._images.items() if not image.split]
        if unassigned and len(unassigned) < len(self._images):
            name = unassigned[0]
            raise DataError(
                f"{self._images[name].place}: {name} is in no split, but others are; assign every image or none"
            )

    def _check_images(self, paths: dict[str, Path]) -> None:
        """Remove images that do not exist from `paths`; count images that exist and have no caption."""
        for name, path in list(paths.items()):
            place = f"{self._images[name].place}: {name}"
            if not is_file(path):
                self.add_problem("missing images, left out", place)
                del paths[name]
            elif path.name != PurePosixPath(name).name:
                self.add_problem("images found with another case or ending", f"{place} is {path.name}")
        if not paths:
            advice = "; their names are URLs: download the images first, looksay does not" if self._has_urls else ""
            raise DataError(
                f"none of the {len(self._images)} images exists, such as {next(iter(self._images))}; "
                f"searched {self.folder} and the folders below it{advice}"
            )
        known = {path.name for path in paths.values()} | {PurePosixPath(name).name for name in self._excluded}
        for folder in sorted({path.parent for path in paths.values()}):
            for file in sorted(folder.iterdir()):
                if file.suffix.lower() in EXTENSIONS and file.name not in known:
                    self.add_problem("images without a caption", str(file.relative_to(self.folder)))
