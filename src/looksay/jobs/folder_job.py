"""A job: any number of images, in constant memory, captioned once each, however often it is stopped."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from looksay.atomic_files import lock
from looksay.captioner import Captioner
from looksay.errors import JobError
from looksay.jobs.disk_set import DiskSet
from looksay.jobs.sqlite_writer import Database
from looksay.jobs.text_writers import Csv, Jsonl
from looksay.jobs.writers import Output, Provenance, Row
from looksay.runtime.bundle import sha256

OUTPUTS: dict[str, Callable[[Path, Provenance], Output]] = {"jsonl": Jsonl, "csv": Csv, "sqlite": Database}
"""By the name of their format."""

ENDINGS = {".jsonl": "jsonl", ".csv": "csv", ".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite"}
"""Formats by the ending of a file's name."""

Opened = Path | io.BytesIO


@contextmanager
def open_output(file: Path, layout: str, maker: Provenance, *, overwrite: bool = False) -> Iterator[Output]:
    """Open a file that captions can be added to, by this process alone.

    Parameters
    ----------
    file : Path
        Begun anew if it is not there.
    layout : {"jsonl", "csv", "sqlite"}
    maker : Provenance
        What the captions come of.
    overwrite : bool
        Begin it anew even if it is there.

    Raises
    ------
    JobError
        If the file is there and holds other things, or captions of another maker, or cannot be written, or is being
        written by another process.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(file))
            if overwrite:
                for ending in ("", "-wal", "-shm"):  # with what a killed job's SQLite has left
                    file.with_name(file.name + ending).unlink(missing_ok=True)
            output = stack.enter_context(OUTPUTS[layout](file, maker))
        except OSError as error:
            raise JobError(f"{file} cannot be written: {error.strerror}") from error
        yield output


def forget_changed(output: Output) -> int:
    """Drop the rows of images whose file has changed since; return how many.

    An image that is not there any more keeps its row.
    """
    changed = DiskSet(row.image for row in output.rows() if digest(Path(row.image)) not in ("", row.sha256))
    count = len(changed)
    if count:
        output.drop(changed)
    changed.close()
    return count


def missing(output: Output, known: DiskSet, paths: Iterable[Path]) -> Iterator[Path]:
    """Yield those images that are not known yet, each once, and make them known."""
    return (path for path in paths if known.add(output.spell(str(path))))


def caption(
    captioner: Captioner,
    paths: Iterable[Path],
    *,
    batch: int,
    attention: bool = False,
    digests: bool = False,
    opened: Callable[[Path], Opened] = lambda path: path,
    **options: Any,
) -> Iterator[Row]:
    """Yield a row for each image, in order and in constant memory; see `Captioner.outcomes`.

    Parameters
    ----------
    digests : bool
        Whether rows have the sha256 of the image's file: as it was before it was captioned, so that a change that
        comes between is noticed later.
    opened : callable
        What is read in the place of a path.
    """
    ahead: deque[tuple[str, str]] = deque()

    def sources() -> Iterator[Opened]:
        for path in paths:
            ahead.append((str(path), digest(path) if digests else ""))
            yield opened(path)

    for outcome in captioner.outcomes(sources(), batch=batch, attention=attention, **options):
        yield Row(*ahead.popleft(), outcome)


def digest(path: Path) -> str:
    """Return the sha256 of an image's file, empty if it cannot be read."""
    try:
        return sha256(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return ""
