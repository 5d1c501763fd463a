"""A set that may be larger than memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable


class DiskSet:
    """Names, kept in a temporary file that vanishes with the set; memory does not grow with them.

    Parameters
    ----------
    names : iterable of path or str
    """

    def __init__(self, names: Iterable[str | os.PathLike[str]] = ()) -> None:
        self._rows = sqlite3.connect("")  # SQLite's own word for a temporary database on disk
        self._rows.execute("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID")
        for name in names:
            self.add(name)

    def add(self, name: str | os.PathLike[str]) -> bool:
        """Add a name; return whether it is new."""
        return self._rows.execute("INSERT OR IGNORE INTO names VALUES (?)", (os.fsencode(name),)).rowcount == 1

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str | os.PathLike):
            return False
        return bool(self._rows.execute("SELECT 1 FROM names WHERE name = ?", (os.fsencode(name),)).fetchone())

    def __len__(self) -> int:
        (count,) = self._rows.execute("SELECT count(*) FROM names").fetchone()
        return int(count)

    def close(self) -> None:
        """Remove the file."""
        self._rows.close()
