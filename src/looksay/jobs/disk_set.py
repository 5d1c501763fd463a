"""A set of file names on disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from typing import Any


class DiskSet:
    """A set of names in a temporary SQLite file, so that its memory is constant."""

    def __init__(self, names: Iterable[str | os.PathLike[str]] = ()) -> None:
        # SQLite deletes a database without a name when it is closed, perhaps by a thread that collects garbage.
        self._table = sqlite3.connect("", check_same_thread=False)
        self._table.execute("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID")
        for name in names:
            self.add(name)

    def add(self, name: str | os.PathLike[str]) -> bool:
        """Add a name; return whether it is new."""
        insert = "INSERT OR IGNORE INTO names VALUES (?)"
        return self._table.execute(insert, (os.fsencode(name),)).rowcount == 1

    def __contains__(self, name: Any) -> bool:
        return bool(self._table.execute("SELECT 1 FROM names WHERE name = ?", (os.fsencode(name),)).fetchone())

    def __len__(self) -> int:
        return int(self._table.execute("SELECT count(*) FROM names").fetchone()[0])

    def __del__(self) -> None:
        self._table.close()
