"""The SQLite writer."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from looksay.errors import JobError
from looksay.jobs.caption_search import search
from looksay.jobs.sqlite_writer import SqliteWriter
from looksay.jobs.writers import Provenance, Row
from looksay.types import Caption

PROVENANCE = Provenance({"m": "0"}, {})


def row(image: str, text: str) -> Row:
    return Row(image, "0", [Caption(text, tuple(text.split()), -1.0)])


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with SqliteWriter(Path("captions.db"), PROVENANCE) as writer:
        writer.add(row("1.jpg", "a dog runs on the beach"))
        writer.add(row("2.jpg", "a man on a beach"))
    return Path("captions.db")


def test_a_replaced_row_matches_only_its_new_words(database: Path) -> None:
    with SqliteWriter(database, PROVENANCE) as writer:
        writer.remove({"1.jpg"})
        writer.add(row("1.jpg", "a cat sleeps"))
    assert [match.image for match in search("cat", database, 9).matches] == ["1.jpg"]
    assert [match.image for match in search("beach", database, 9).matches] == ["2.jpg"]


def test_a_database_of_another_program_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(JobError, match="holds no captions of looksay"):
        SqliteWriter(file, PROVENANCE)
    assert file.read_bytes() == before


def test_a_closed_database_is_a_single_file(database: Path) -> None:
    assert [file.name for file in Path().iterdir()] == [database.name]
    with sqlite3.connect(database) as rows:
        assert rows.execute("PRAGMA journal_mode").fetchone() == ("delete",)
