"""What a job writes captions to, whatever the format."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import looksay
from looksay.captioner import Captioner
from looksay.data.table_reader import MADE_BY
from looksay.decoding.options import DecodingOptions
from looksay.errors import ImageError, JobError
from looksay.runtime.bundle import MODEL, sha256
from looksay.types import Caption

_MOST_WAITING = 256  # rows
_LONGEST_WAIT = 1.0  # seconds

Outcome = list[Caption] | ImageError
"""The captions of an image, the best first; or why it could not be read."""


@dataclass(frozen=True)
class Provenance:
    """What made captions: others would come of another one.

    Attributes
    ----------
    models : dict of str to str
        The models' names and the sha256 of their ``model.json``, which holds that of every other file.
    search : dict
        The options of the search.
    """

    models: dict[str, str]
    search: dict[str, Any]

    @classmethod
    def of(cls, captioner: Captioner, options: DecodingOptions) -> Self:
        """Describe a captioner that searches with these options."""
        models = {bundle.spec.name: sha256(bundle.folder / MODEL) for bundle in captioner.bundles}
        return cls(models, json.loads(json.dumps(asdict(options))))

    @property
    def mark(self) -> str:
        """A short name that no other maker has: ``looksay-flagship@1a2b3c4d5e6f``."""
        text = json.dumps([self.models, self.search], sort_keys=True)
        return f"{'+'.join(self.models)}@{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def to_json(self) -> dict[str, Any]:
        """Return what an output's first row says."""
        return {"looksay": looksay.__version__, MADE_BY: self.mark, "models": self.models, "search": self.search}


@dataclass(frozen=True)
class Row:
    """An image by the path that named it, the sha256 of its file (empty if not asked for), and what came of it."""

    image: str
    sha256: str
    outcome: Outcome


class Entry(NamedTuple):
    """What is known of a row that is there."""

    image: str
    sha256: str
    failed: bool


class Output(ABC):
    """A file of captions that a stopped job goes on with.

    Parameters
    ----------
    file : Path
        If it is there, it must have been written by the same maker, or a `JobError` is raised.
    maker : Provenance
    """

    def __init__(self, file: Path, maker: Provenance) -> None:
        self.file = file
        self.maker = maker
        self._waiting: list[Row] = []
        self._written = time.monotonic()

    def spell(self, path: str) -> str:
        """Return how a path is written here, where not every name can stand as it is."""
        return path

    @abstractmethod
    def rows(self) -> Iterator[Entry]:
        """Yield what is there, in order."""

    @abstractmethod
    def drop(self, images: Container[str]) -> None:
        """Remove the rows of images."""

    def add(self, row: Row) -> None:
        """Write a row at the end, within a second: after a crash at any moment it is there whole or not at all."""
        self._waiting.append(row)
        if len(self._waiting) >= _MOST_WAITING or time.monotonic() - self._written > _LONGEST_WAIT:
            self.flush()

    def flush(self) -> None:
        """Write down all rows."""
        rows, self._waiting = self._waiting, []
        self._append([replace(row, image=self.spell(row.image)) for row in rows])
        self._written = time.monotonic()

    @abstractmethod
    def _append(self, rows: Sequence[Row]) -> None:
        """Write rows, and have them on the disk."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.flush()
        finally:
            self.close()

    def refuse(self, mark: str | None) -> None:
        """Raise `JobError` if rows were made by another maker than this one."""
        if mark is None:
            raise JobError(
                f"{self.file} is there and holds no captions of looksay in this format; --overwrite replaces it"
            )
        if mark != self.maker.mark:
            raise JobError(
                f"{self.file} has captions of another model or search ({mark}, not {self.maker.mark}); "
                "name another file, or --overwrite it"
            )
