"""Who looks for an image by what is in it finds it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES

from looksay.cli.main import main
from looksay.errors import JobError
from looksay.jobs.sqlite_writer import Database, find
from looksay.jobs.writers import Provenance, Row
from looksay.types import Caption

SAID = {
    "1.jpg": "a dog runs on the beach",
    "2.jpg": "two dogs are playing in the snow",
    "3.jpg": "a man on a beach",
    "4.jpg": "a dog on a beach with a dog",
    "5.jpg": 'a sign that says "or not"',
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "captions.db"
    with Database(file, Provenance({"m": "0"}, {})) as output:
        for image, text in SAID.items():
            output.add(Row(image, "0", [Caption(text, tuple(text.split()), -1.0)]))
    return file


def images(query: str, file: Path, limit: int = 20) -> list[str]:
    return [found.image for found in find(query, file, limit)]


def test_captions_with_all_words_come_first_in_any_form(database: Path) -> None:
    assert set(images("dog on a beach", database)[:2]) == {"1.jpg", "4.jpg"}
    assert set(images("dog on a beach", database)) == {"1.jpg", "2.jpg", "3.jpg", "4.jpg"}
    assert images("Dogs play", database)[0] == "2.jpg"
    assert images("giraffe", database) == []
    assert len(images("dog", database, limit=1)) == 1


@pytest.mark.parametrize("query", ['"or" NOT', "a OR (", "sign*", "that's", "or not", "NEAR(sign)", "caption:sign"])
def test_no_query_is_taken_for_a_language(query: str, database: Path) -> None:
    assert "5.jpg" in images(f"{query} sign", database)


def test_a_changed_row_is_found_by_its_new_words_alone(database: Path) -> None:
    with Database(database, Provenance({"m": "0"}, {})) as output:
        output.drop({"1.jpg"})
        output.add(Row("1.jpg", "1", [Caption("a cat sleeps", ("a", "cat", "sleeps"), -1.0)]))
    assert images("cat", database) == ["1.jpg"]
    assert "1.jpg" not in images("dog", database)


def test_what_cannot_be_searched_is_said(database: Path, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to be read as one" * 20)
    for file, message in ((tmp_path / "none.db", "there is no"), (tmp_path / "x.db", "cannot be used")):
        with pytest.raises(JobError, match=message):
            find("dog", file, 1)
    with pytest.raises(JobError, match="no word to look for"):
        find("?!", database, 1)


def test_images_are_shown_on_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["caption", str(EXAMPLES), "--output", "c.db", "--num-beams", "1"]).exit_code == 0
    result = CliRunner().invoke(main, ["find", "mountains", "c.db", "--html", "found.html"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{EXAMPLES / 'alps.jpg'}\t")
    page = Path("found.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == len(result.stdout.splitlines()) == page.count("data:image/jpeg;base64,")
    assert (EXAMPLES / "alps.jpg").resolve().as_uri() in page
    assert CliRunner().invoke(main, ["find", "zeppelin", "c.db"]).exit_code == 1


def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "theirs.db"
    with sqlite3.connect(file) as theirs:
        theirs.execute("CREATE TABLE t (x)")
    theirs.close()
    before = file.read_bytes()
    with pytest.raises(JobError, match="holds no captions of looksay"):
        Database(file, Provenance({"m": "0"}, {}))
    assert file.read_bytes() == before


def test_what_is_left_is_one_file(database: Path) -> None:
    assert [file.name for file in database.parent.iterdir()] == [database.name]
    with sqlite3.connect(database) as rows:
        assert rows.execute("PRAGMA journal_mode").fetchone() == ("delete",)
