"""The SQLite writer, and search in what it wrote."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES

from looksay.cli.main import main
from looksay.errors import JobError
from looksay.jobs.caption_search import search
from looksay.jobs.sqlite_writer import SqliteWriter
from looksay.jobs.writers import Provenance, Row
from looksay.types import Caption

CAPTIONS = {
    "1.jpg": "a dog runs on the beach",
    "2.jpg": "two dogs are playing in the snow",
    "3.jpg": "a man on a beach",
    "4.jpg": "a dog on a beach with a dog",
    "5.jpg": 'a sign that says "or not"',
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "captions.db"
    with SqliteWriter(file, Provenance({"m": "0"}, {})) as writer:
        for image, text in CAPTIONS.items():
            writer.add(Row(image, "0", [Caption(text, tuple(text.split()), -1.0)]))
    return file


def images(query: str, file: Path, limit: int = 20) -> list[str]:
    return [match.image for match in search(query, file, limit).matches]


def test_captions_with_all_words_come_first_and_words_match_in_any_form(database: Path) -> None:
    assert set(images("dog on a beach", database)[:2]) == {"1.jpg", "4.jpg"}
    assert set(images("dog on a beach", database)) == {"1.jpg", "2.jpg", "3.jpg", "4.jpg"}
    assert images("Dogs play", database)[0] == "2.jpg"
    assert images("giraffe", database) == []
    assert len(images("dog", database, limit=1)) == 1
    assert search("a puppy on snow", database, 5).missing_words == ["puppy"]


@pytest.mark.parametrize("query", ['"or" NOT', "a OR (", "sign*", "that's", "or not", "NEAR(sign)", "caption:sign"])
def test_query_syntax_of_fts5_is_not_interpreted(query: str, database: Path) -> None:
    assert "5.jpg" in images(f"{query} sign", database)


def test_a_replaced_row_matches_only_its_new_words(database: Path) -> None:
    with SqliteWriter(database, Provenance({"m": "0"}, {})) as writer:
        writer.remove({"1.jpg"})
        writer.add(Row("1.jpg", "1", [Caption("a cat sleeps", ("a", "cat", "sleeps"), -1.0)]))
    assert images("cat", database) == ["1.jpg"]
    assert "1.jpg" not in images("dog", database)


def test_files_and_queries_that_cannot_be_searched_are_errors(database: Path, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to be read as one" * 20)
    for file, message in ((tmp_path / "none.db", "there is no"), (tmp_path / "x.db", "cannot be used")):
        with pytest.raises(JobError, match=message):
            search("dog", file, 1)
    with pytest.raises(JobError, match="has no word"):
        search("?!", database, 1)


def test_find_prints_matches_and_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["caption", str(EXAMPLES), "--output", "c.db", "--num-beams", "1"]).exit_code == 0
    result = CliRunner().invoke(main, ["find", "mountains", "c.db", "--html", "mountains.html"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{EXAMPLES / 'alps.jpg'}\t")
    page = Path("mountains.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == len(result.stdout.splitlines()) == page.count("data:image/jpeg;base64,")
    assert (EXAMPLES / "alps.jpg").resolve().as_uri() in page
    result = CliRunner().invoke(main, ["find", "zeppelin", "mountains", "c.db"])
    assert (result.exit_code, result.stderr) == (0, "looksay: no caption in c.db contains zeppelin\n")
    result = CliRunner().invoke(main, ["find", "zeppelin", "c.db"])
    assert (result.exit_code, result.stderr) == (1, "looksay: no caption in c.db contains zeppelin\n")


def test_a_database_of_another_program_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(JobError, match="holds no captions of looksay"):
        SqliteWriter(file, Provenance({"m": "0"}, {}))
    assert file.read_bytes() == before


def test_a_closed_database_is_a_single_file(database: Path) -> None:
    assert [file.name for file in database.parent.iterdir()] == [database.name]
    with sqlite3.connect(database) as rows:
        assert rows.execute("PRAGMA journal_mode").fetchone() == ("delete",)
