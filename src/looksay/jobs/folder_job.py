"""The resumable folder job: captions any number of images once each, in constant memory, across interruptions."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from looksay.atomic_files import lock
from looksay.captioner import Captioner
from looksay.jobs.disk_set import DiskSet
from looksay.jobs.sqlite_writer import SqliteWriter
from looksay.jobs.text_writers import CsvWriter, JsonlWriter
from looksay.jobs.writers import CaptionWriter, Entry, Provenance, Row, writing
from looksay.runtime.bundle import sha256

WRITERS: dict[str, type[CaptionWriter]] = {
    "jsonl": JsonlWriter, "csv": CsvWriter, "sqlite": SqliteWriter,
}  # fmt: skip
SUFFIXES = {".jsonl": "jsonl", ".csv": "csv", ".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite"}

Source = str | Path | io.BytesIO


@contextmanager
def open_writer(
    file: Path, layout: str, provenance: Provenance, *, overwrite: bool = False
) -> Iterator[tuple[CaptionWriter, bool]]:
    """Open a new or existing file to append captions to, and lock it against other processes.

    Also yields whether the file is locked: some file systems have no locks. Raises `JobError` if the file has other
    content or captions of another provenance, cannot be written, or is locked.
    """
    with ExitStack() as stack:
        with writing(file):
            is_locked = stack.enter_context(lock(file))
            if overwrite:
                for suffix in ("", "-wal", "-shm"):  # SQLite leaves the last two when a job is killed
                    old = file.with_name(file.name + suffix)
                    if os.path.lexists(old):  # its name may be too long
                        old.unlink()
        yield stack.enter_context(WRITERS[layout](file, provenance)), is_locked


def remove_changed(writer: CaptionWriter) -> tuple[int, int]:
    """Remove the rows of images that are to be captioned again; see `has_changed`.

    Returns the number of these images, and apart from them that of images whose sidecar files were not written.
    """
    changed, unwritten = DiskSet(), 0
    for entry in writer.entries():
        if has_changed(writer.file.parent, entry):
            unwritten += changed.add(entry.image) and not (entry.sha256 or entry.has_failed)
    if count := len(changed):
        writer.remove(changed)
    return count - unwritten, unwritten


def has_changed(folder: Path, entry: Entry) -> bool:
    """Return whether an image is to be captioned again: its file exists and has changed, or has failed before.

    A failed image without a file, as of a mistyped name, is not kept either.
    """
    path = folder / entry.image
    if entry.is_corrected:
        return False
    if entry.has_failed and (os.path.isdir(path) or not os.path.lexists(path)):  # noqa: PTH112 (Path's raises)
        return True  # a folder that could not be listed is tried again
    return file_digest(path) not in ("", entry.sha256)


def caption_images(
    captioner: Captioner,
    paths: Iterable[Path],
    *,
    batch: int,
    attention: bool = False,
    hash_files: bool = False,
    open_source: Callable[[Path], Source] = lambda path: path,
    **options: Any,
) -> Iterator[Row]:
    """Yield a row for each image, in order and in constant memory; see `Captioner.outcomes`.

    With `hash_files` it has the sha256 of the file, computed before captioning so that any later change is detected.
    `open_source` maps a path to what the captioner reads.
    """
    started: deque[tuple[str, str]] = deque()

    def sources() -> Iterator[Source]:
        for path in paths:
            started.append((str(path), file_digest(path) if hash_files else ""))
            yield open_source(path)

    for outcome in captioner.outcomes(sources(), batch=batch, attention=attention, **options):
        yield Row(*started.popleft(), outcome)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, "" if it cannot be read."""
    try:
        return sha256(path)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return ""
