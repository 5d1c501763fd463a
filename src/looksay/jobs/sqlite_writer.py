"""Captions as an SQLite database with full-text search."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from looksay.errors import ImageError, JobError
from looksay.jobs.writers import Entry, Output, Provenance, Row
from looksay.text.stopwords import DANGLING

_SCHEMA = """
CREATE TABLE job (made_by TEXT NOT NULL, described TEXT NOT NULL);
CREATE TABLE captions (
    id INTEGER PRIMARY KEY, image TEXT NOT NULL UNIQUE, caption TEXT, log_prob REAL, others TEXT, error TEXT,
    sha256 TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(caption, content='captions', content_rowid='id', tokenize='porter');
CREATE TRIGGER said AFTER INSERT ON captions BEGIN
    INSERT INTO words (rowid, caption) VALUES (new.id, new.caption);
END;
CREATE TRIGGER unsaid AFTER DELETE ON captions BEGIN
    INSERT INTO words (words, rowid, caption) VALUES ('delete', old.id, old.caption);
END;
"""
_SAYING_LITTLE = DANGLING | {"is", "are", "his", "her", "their", "its"}


class Database(Output):
    """An SQLite file: ``captions`` holds a row an image, ``job`` what made them, ``words`` the full-text index.

    Rows are written in transactions, so that SQLite itself takes back what a crash left unfinished.
    """

    def __init__(self, file: Path, maker: Provenance) -> None:
        super().__init__(file, maker)
        self._rows = _connect(file)
        with _explained(file), self._rows as rows:
            if not rows.execute("SELECT 1 FROM sqlite_master").fetchone():
                rows.executescript("BEGIN;" + _SCHEMA)
                described = json.dumps(maker.to_json(), ensure_ascii=False)
                rows.execute("INSERT INTO job VALUES (?, ?)", (maker.mark, described))
                rows.commit()
            self.refuse(_made_by(rows))
        with _explained(file):
            self._rows.execute("PRAGMA journal_mode = WAL")  # a transaction costs no wait for the disk

    def spell(self, path: str) -> str:
        """See `Output.spell`: SQLite keeps text in UTF-8."""
        return path.encode("utf-8", "backslashreplace").decode()

    def rows(self) -> Iterator[Entry]:
        """See `Output.rows`."""
        with _explained(self.file):
            for row in self._rows.execute("SELECT image, sha256, error IS NOT NULL FROM captions ORDER BY id"):
                yield Entry(*row)

    def drop(self, images: Container[str]) -> None:
        """See `Output.drop`."""
        gone = ((row.image,) for row in self.rows() if row.image in images)
        with _explained(self.file), self._rows as rows:
            rows.executemany("DELETE FROM captions WHERE image = ?", gone)

    def _append(self, rows: Sequence[Row]) -> None:
        with _explained(self.file), self._rows as table:
            table.executemany(
                "INSERT INTO captions (image, caption, log_prob, others, error, sha256) VALUES (?, ?, ?, ?, ?, ?)",
                map(self._values, rows),
            )

    def _values(self, row: Row) -> tuple[str | float | None, ...]:
        if isinstance(row.outcome, ImageError):
            return row.image, None, None, None, self.spell(str(row.outcome)), row.sha256
        best, *others = row.outcome
        more = json.dumps([{"caption": o.text, "log_prob": o.log_prob} for o in others]) if others else None
        return row.image, best.text, best.log_prob, more, None, row.sha256

    def close(self) -> None:
        """See `Output.close`; what is left is one file, which can be searched where nothing can be written."""
        with _explained(self.file):
            self._rows.execute("PRAGMA journal_mode = DELETE")
        self._rows.close()


class Found(NamedTuple):
    """An image whose caption has what was looked for."""

    image: str
    caption: str


def find(query: str, file: Path, limit: int) -> list[Found]:
    """Find images by what their captions say.

    Words match in any form (``dog`` finds *dogs*), and small words (*a*, *on*) do not count. Captions with all the
    words come first, then those with some; the rarer a word, the more it counts (BM25).

    Parameters
    ----------
    query : str
        A few words.
    file : Path
        A database of captions.
    limit : int
        At most so many.

    Raises
    ------
    JobError
        If there is no word to look for, or if the file is no database of captions.
    """
    words = dict.fromkeys(re.findall(r"\w+", query.lower()))
    telling = [f'"{word}"' for word in words if word not in _SAYING_LITTLE] or [f'"{word}"' for word in words]
    if not telling:
        raise JobError(f"there is no word to look for in {query!r}")
    if not file.is_file():
        raise JobError(f"there is no {file}; make it with: looksay caption PHOTOS --output {file}")
    best_first = (
        "SELECT image, captions.caption FROM words JOIN captions ON captions.id = words.rowid "
        "WHERE words MATCH ? ORDER BY bm25(words), words.rowid LIMIT ?"
    )
    database = _connect(file)
    try:
        with _explained(file):
            if _made_by(database) is None:
                raise JobError(f"{file} holds no captions of looksay")
            all_, some = (database.execute(best_first, (how.join(telling), limit)) for how in (" AND ", " OR "))
            return [Found(*row) for row in list(dict.fromkeys([*all_, *some]))[:limit]]
    finally:
        database.close()


def _connect(file: Path) -> sqlite3.Connection:
    with _explained(file):
        return sqlite3.connect(file, timeout=30)


def _made_by(rows: sqlite3.Connection) -> str | None:
    if not rows.execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone():
        return None
    found = rows.execute("SELECT made_by FROM job").fetchone()
    return str(found[0]) if found else None


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Turn SQLite's errors into one that names the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise JobError(f"{file} cannot be used as a database of captions: {error}") from error
