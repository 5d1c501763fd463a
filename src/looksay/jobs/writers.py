"""Base class of the writers of resumable jobs, and the provenance of captions."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import sqlite3
import sys
import time
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

_MAX_BUFFERED_ROWS = 256
_MAX_BUFFERED_SECONDS = 1.0

Outcome = list[Caption] | ImageError
"""The captions of an image, the best first; or the error if it cannot be read."""


LEFT_OUT = ": left out, "
"""Part of the message of a `LowConfidence`, which is no failure."""


@dataclass(frozen=True)
class Provenance:
    """The models and decoding options that captions come from."""

    models: dict[str, str]  # name to the sha256 of model.json, which holds those of all other files
    decoding: dict[str, Any]

    @classmethod
    def of(cls, captioner: Captioner, options: DecodingOptions) -> Self:
        """Return the provenance of what a captioner generates with these options."""
        models = {bundle.spec.name: sha256(bundle.folder / MODEL) for bundle in captioner.bundles}
        return cls(models, json.loads(json.dumps(asdict(options))))

    @property
    def id(self) -> str:
        """Identifier that changes with any model or option: ``looksay-flagship@1a2b3c4d5e6f``."""
        text = json.dumps([self.models, self.decoding], sort_keys=True)
        return f"{'+'.join(self.models)}@{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def to_json(self) -> dict[str, Any]:
        """Return the first row of an output."""
        return {"looksay": looksay.__version__, MADE_BY: self.id, "models": self.models, "decoding": self.decoding}

    def check(self, other_id: str | None, output: object) -> None:
        """Raise `JobError` if the captions of an existing output have another provenance, or None."""
        if other_id is None:
            raise JobError(f"{output} holds no captions of looksay in this format; --overwrite replaces it")
        if other_id != self.id:
            raise JobError(
                f"{output} has captions of another model or other decoding options ({other_id}, not {self.id}); "
                "name another output, or --overwrite it"
            )


@dataclass(frozen=True)
class Row:
    """The path of an image, the sha256 of its file ("" if it is to be captioned again) and its captions or error."""

    image: str
    sha256: str
    outcome: Outcome


class Entry(NamedTuple):
    """A row of an existing output, with its best caption alone, which is empty if it was left out."""

    image: str
    sha256: str
    has_failed: bool
    caption: str
    confidence: float | None
    is_corrected: bool  # by a person: the row has a caption without a log-probability
    keywords: tuple[str, ...]


class CaptionWriter(ABC):
    """Appends captions to a file; an existing file is resumed, or with `read_only` is neither changed nor added to.

    Raises `JobError` if the file has captions of another provenance, or other content, or cannot be written.
    """

    def __init__(self, file: Path, provenance: Provenance, *, read_only: bool = False) -> None:
        self.file = file
        self.provenance = provenance
        self._folder = os.path.realpath(file.parent)
        self._realpath = functools.lru_cache(1000)(os.path.realpath)
        self._buffer: list[Row] = []
        self._flushed = time.monotonic()
        with writing(file):
            if read_only:
                self._open_to_read()
            else:
                self._open()

    def name(self, image: str) -> str:
        """Return the name of an image in the file: its path from the folder of the file, or an absolute path.

        It does not depend on the working directory, and is the same for all paths that lead to the image.
        """
        folder, name = os.path.split(image)
        path = Path(self._realpath(folder), name)
        text = str(path.relative_to(self._folder) if path.is_relative_to(self._folder) else path)
        return unicodedata.normalize("NFC", text) if sys.platform == "darwin" else text  # where both forms are one file

    @abstractmethod
    def _open(self) -> None:
        """Open the file, and create or check it."""

    @abstractmethod
    def _open_to_read(self) -> None:
        """Open and check an existing file, for `entries` alone."""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield the rows of the file, in order."""

    @abstractmethod
    def remove(self, images: Container[str]) -> None:
        """Remove the rows of the images with these names."""

    @abstractmethod
    def correct(self, captions: Mapping[str, str]) -> None:
        """Replace what the rows of images hold by the captions of a person, which have no figures."""

    @abstractmethod
    def rehash(self, images: Container[str], digest: Callable[[Path], str]) -> None:
        """Replace the sha256 of the images with these names by that of their files now."""

    def add(self, row: Row) -> None:
        """Append a row; it is on the disk within a second, and a crash never leaves half of it."""
        self._buffer.append(row)
        is_due = time.monotonic() - self._flushed > _MAX_BUFFERED_SECONDS
        if is_due or len(self._buffer) >= _MAX_BUFFERED_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows to the disk."""
        rows, self._buffer = self._buffer, []
        with writing(self.file):
            self._append([replace(row, image=self.name(row.image)) for row in rows])
        self._flushed = time.monotonic()

    @abstractmethod
    def _append(self, rows: Sequence[Row]) -> None:
        """Write rows and flush them to the disk."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.flush()
        finally:
            self.close()


def escaped(name: str) -> str:
    """Return a file name as text of one line: line breaks, and bytes that are not UTF-8, become backslash escapes."""
    return name.replace("\r", "\\r").replace("\n", "\\n").encode("utf-8", "backslashreplace").decode()


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Turn errors of the system and of SQLite into a `JobError` that names the file."""
    try:
        yield
    except OSError as error:
        hint = "; free some space and run the same command again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise JobError(f"{file} cannot be written: {error.strerror}{hint}") from error
    except sqlite3.Error as error:
        raise JobError(f"{file} cannot be used as a database of captions: {error}") from error
