"""Captions as an SQLite database with a full-text index."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path

from looksay.errors import ImageError
from looksay.jobs.search_terms import index_text
from looksay.jobs.text_writers import figures
from looksay.jobs.writers import LEFT_OUT, CaptionWriter, Entry, Row, escaped, writing
from looksay.types import KEYWORD_PROBABILITY

_SCHEMA = """
BEGIN;
CREATE TABLE job (made_by TEXT NOT NULL, described TEXT NOT NULL);
CREATE TABLE captions (
    id INTEGER PRIMARY KEY, image TEXT NOT NULL UNIQUE, caption TEXT, confidence REAL, log_prob REAL, others TEXT,
    error TEXT,
    sha256 TEXT NOT NULL
);
CREATE VIRTUAL TABLE words
    USING fts5(caption, tokenize="porter unicode61 remove_diacritics 2 categories 'L* M* N* Co'");
CREATE TABLE tags (id INTEGER NOT NULL, name TEXT NOT NULL, probability REAL NOT NULL, PRIMARY KEY (name, id))
    WITHOUT ROWID;
CREATE INDEX tags_of_image ON tags (id);
CREATE TRIGGER caption_deleted AFTER DELETE ON captions BEGIN
    DELETE FROM words WHERE rowid = old.id;
    DELETE FROM tags WHERE id = old.id;
END;
"""
_INSERT = (
    "INSERT INTO captions (image, caption, confidence, log_prob, others, error, sha256) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_ENTRIES = (
    "SELECT image, sha256, error IS NOT NULL AND NOT instr(error, ?), coalesce(caption, ''), confidence, "
    "caption IS NOT NULL AND log_prob IS NULL, "
    "(SELECT json_group_array(name) FROM tags WHERE tags.id = captions.id AND probability >= ?) "
    "FROM captions ORDER BY id"
)
_CORRECT = (
    "UPDATE captions SET caption = ?, confidence = NULL, log_prob = NULL, others = NULL, error = NULL WHERE image = ?"
)
_UNINDEX = "DELETE FROM words WHERE rowid = (SELECT id FROM captions WHERE image = ?)"
_INDEX = "INSERT INTO words (rowid, caption) SELECT id, ? FROM captions WHERE image = ?"
_TAG = "INSERT INTO tags (id, name, probability) SELECT id, ?, ? FROM captions WHERE image = ?"
_MAX_NAME = 255 - len("-journal")


class SqliteWriter(CaptionWriter):
    """Writes a database: ``captions`` has a row an image, ``tags`` its tags, ``job`` the provenance.

    ``words`` is the full-text index.

    Rows are written in transactions, which SQLite rolls back after a crash.
    """

    def name(self, image: str) -> str:
        """See `CaptionWriter.name`: SQLite stores text as UTF-8."""
        return escaped(super().name(image))

    def _open(self) -> None:
        self._database = database = sqlite3.connect(self.file, timeout=30)
        is_long = len(os.fsencode(self.file.name)) > _MAX_NAME  # no room for the ending of SQLite's second file
        if is_long:
            database.execute("PRAGMA journal_mode = MEMORY")
        if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            database.executescript(_SCHEMA)
            description = json.dumps(self.provenance.to_json(), ensure_ascii=False)
            database.execute("INSERT INTO job VALUES (?, ?)", (self.provenance.id, description))
            database.commit()
        self.provenance.check(read_provenance_id(database), self.file)
        if not is_long:
            database.execute("PRAGMA journal_mode = WAL")  # a transaction then waits for no disk

    def _open_to_read(self) -> None:
        self._database = sqlite3.connect(f"{self.file.absolute().as_uri()}?mode=ro", timeout=30, uri=True)
        self.provenance.check(read_provenance_id(self._database), self.file)

    def entries(self) -> Iterator[Entry]:
        """See `CaptionWriter.entries`."""
        with writing(self.file):
            rows = self._database.execute(_ENTRIES, (LEFT_OUT, KEYWORD_PROBABILITY))
            for image, digest, has_failed, caption, confidence, is_corrected, names in rows:
                keywords = tuple(json.loads(names))
                yield Entry(image, digest, bool(has_failed), caption, confidence, bool(is_corrected), keywords)

    def remove(self, images: Container[str]) -> None:
        """See `CaptionWriter.remove`."""
        removed = ((entry.image,) for entry in self.entries() if entry.image in images)
        with writing(self.file), self._database as database:
            database.executemany("DELETE FROM captions WHERE image = ?", removed)

    def correct(self, captions: Mapping[str, str]) -> None:
        """See `CaptionWriter.correct`."""
        with writing(self.file), self._database as database:
            database.executemany(_CORRECT, ((text, image) for image, text in captions.items()))
            database.executemany(_UNINDEX, ((image,) for image in captions))
            database.executemany(_INDEX, ((index_text(text), image) for image, text in captions.items()))

    def rehash(self, images: Container[str], digest: Callable[[Path], str]) -> None:
        """See `CaptionWriter.rehash`."""
        names = (entry.image for entry in self.entries() if entry.image in images)
        values = ((digest(self.file.parent / name), name) for name in names)
        with writing(self.file), self._database as database:
            database.executemany("UPDATE captions SET sha256 = ? WHERE image = ?", values)

    def _append(self, rows: Sequence[Row]) -> None:
        with self._database as database:
            database.executemany(_INSERT, map(_values, rows))
            captions = [(row.outcome[0], row.image) for row in rows if isinstance(row.outcome, list)]
            database.executemany(_INDEX, ((index_text(caption.text), image) for caption, image in captions))
            tags = ((tag.name, tag.probability, image) for caption, image in captions for tag in caption.tags)
            database.executemany(_TAG, tags)

    def close(self) -> None:
        """See `CaptionWriter.close`; a single file is left, which is searchable on a read-only disk."""
        with writing(self.file):
            self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()


def _values(row: Row) -> tuple[str | float | None, ...]:
    if isinstance(row.outcome, ImageError):
        return row.image, None, None, None, None, escaped(str(row.outcome)), row.sha256
    best, *rest = row.outcome
    others = json.dumps(list(map(figures, rest))) if rest else None
    return row.image, best.text, best.confidence, best.log_prob, others, None, row.sha256


def read_provenance_id(database: sqlite3.Connection) -> str | None:
    """Return the provenance of the captions in a database, None if it is not one of looksay's."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone():
        return None
    row = database.execute("SELECT made_by FROM job").fetchone()
    return str(row[0]) if row else None
