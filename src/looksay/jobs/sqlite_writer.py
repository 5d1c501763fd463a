"""Captions as an SQLite database with a full-text index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from looksay.errors import ImageError, JobError
from looksay.jobs.writers import CaptionWriter, Entry, Provenance, Row

_SCHEMA = """
CREATE TABLE job (made_by TEXT NOT NULL, described TEXT NOT NULL);
CREATE TABLE captions (
    id INTEGER PRIMARY KEY, image TEXT NOT NULL UNIQUE, caption TEXT, log_prob REAL, others TEXT, error TEXT,
    sha256 TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(caption, content='captions', content_rowid='id', tokenize='porter');
CREATE TRIGGER caption_inserted AFTER INSERT ON captions BEGIN
    INSERT INTO words (rowid, caption) VALUES (new.id, new.caption);
END;
CREATE TRIGGER caption_deleted AFTER DELETE ON captions BEGIN
    INSERT INTO words (words, rowid, caption) VALUES ('delete', old.id, old.caption);
END;
"""


class SqliteWriter(CaptionWriter):
    """Writes a database: ``captions`` has a row an image, ``job`` the provenance, ``words`` the full-text index.

    Rows are written in transactions, which SQLite rolls back after a crash.
    """

    def __init__(self, file: Path, provenance: Provenance) -> None:
        super().__init__(file, provenance)
        self._database = connect(file)
        with sqlite_errors(file), self._database as database:
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                database.executescript("BEGIN;" + _SCHEMA)
                description = json.dumps(provenance.to_json(), ensure_ascii=False)
                database.execute("INSERT INTO job VALUES (?, ?)", (provenance.id, description))
                database.commit()
            provenance.check(read_provenance_id(database), file)
        with sqlite_errors(file):
            self._database.execute("PRAGMA journal_mode = WAL")  # a transaction then waits for no disk

    def escape(self, path: str) -> str:
        """See `CaptionWriter.escape`: SQLite stores text as UTF-8."""
        return path.encode("utf-8", "backslashreplace").decode()

    def entries(self) -> Iterator[Entry]:
        """See `CaptionWriter.entries`."""
        with sqlite_errors(self.file):
            for row in self._database.execute("SELECT image, sha256, error IS NOT NULL FROM captions ORDER BY id"):
                yield Entry(*row)

    def remove(self, images: Container[str]) -> None:
        """See `CaptionWriter.remove`."""
        removed = ((entry.image,) for entry in self.entries() if entry.image in images)
        with sqlite_errors(self.file), self._database as database:
            database.executemany("DELETE FROM captions WHERE image = ?", removed)

    def _append(self, rows: Sequence[Row]) -> None:
        with sqlite_errors(self.file), self._database as database:
            database.executemany(
                "INSERT INTO captions (image, caption, log_prob, others, error, sha256) VALUES (?, ?, ?, ?, ?, ?)",
                map(self._values, rows),
            )

    def _values(self, row: Row) -> tuple[str | float | None, ...]:
        if isinstance(row.outcome, ImageError):
            return row.image, None, None, None, self.escape(str(row.outcome)), row.sha256
        best, *rest = row.outcome
        others = [{"caption": caption.text, "log_prob": caption.log_prob} for caption in rest]
        return row.image, best.text, best.log_prob, json.dumps(others) if others else None, None, row.sha256

    def close(self) -> None:
        """See `CaptionWriter.close`; a single file is left, which is searchable on a read-only disk."""
        with sqlite_errors(self.file):
            self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()


def connect(file: Path) -> sqlite3.Connection:
    """Open a database."""
    with sqlite_errors(file):
        return sqlite3.connect(file, timeout=30)


def read_provenance_id(database: sqlite3.Connection) -> str | None:
    """Return the provenance of the captions in a database, None if it is not one of looksay's."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone():
        return None
    row = database.execute("SELECT made_by FROM job").fetchone()
    return str(row[0]) if row else None


@contextmanager
def sqlite_errors(file: Path) -> Iterator[None]:
    """Turn errors of SQLite into a `JobError` that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise JobError(f"{file} cannot be used as a database of captions: {error}") from error
