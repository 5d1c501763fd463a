"""Search in the captions of a database: forms of words, scripts without spaces, related words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES

from looksay.cli.main import main
from looksay.errors import JobError
from looksay.jobs.caption_search import search
from looksay.jobs.sqlite_writer import SqliteWriter
from looksay.jobs.writers import Provenance, Row
from looksay.types import Caption, Tag

CAPTIONS = {
    "1.jpg": "a dog runs on the beach",
    "2.jpg": "two dogs are playing in the snow",
    "3.jpg": "a man on a beach",
    "4.jpg": "a dog on a beach with a dog",
    "5.jpg": 'a sign that says "or not"',
}

TAGS = {
    "1.jpg": {"dog": 0.9, "beach": 0.6},
    "2.jpg": {"dog": 0.95, "snow": 0.8},
    "3.jpg": {"dog": 0.2, "beach": 0.5, "man": 0.9},
}


def write(captions: Mapping[str, str]) -> Path:
    with SqliteWriter(Path("captions.db"), Provenance({"m": "0"}, {})) as writer:
        for image, text in captions.items():
            tags = TAGS.get(image, {}).items()
            tagged = tuple(Tag(name, probability, in_caption=False) for name, probability in tags)
            writer.add(Row(image, "0", [Caption(text, tuple(text.split()), -1.0, tags=tagged)]))
    return Path("captions.db")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Path:
    return write(CAPTIONS)


def images(query: str, file: Path, limit: int = 20) -> list[str]:
    return [match.image for match in search(query, file, limit).matches]


def test_captions_with_all_words_come_first_and_words_match_in_any_form(database: Path) -> None:
    assert set(images("dog on a beach", database)[:2]) == {"1.jpg", "4.jpg"}
    assert set(images("dog on a beach", database)) == {"1.jpg", "2.jpg", "3.jpg", "4.jpg"}
    assert images("Dogs play", database)[0] == "2.jpg"
    assert images("giraffe", database) == []
    assert len(images("dog", database, limit=1)) == 1


def test_irregular_forms_find_each_other(folder: Path) -> None:
    groups = (
        "man men man's", "woman women", "child children", "person people", "bus buses", "leaf leaves", "knife knives",
        "goose geese", "mouse mice", "foot feet", "wolf wolves", "fisherman fishermen", "run ran running",
        "sit sat sitting", "swim swam swimming", "lie lying", "ski skiing", "good better best", "big biggest",
        "puppy puppies", "sheep",
    )  # fmt: skip
    words = [word for group in groups for word in group.split()]
    database = write({f"{word}.jpg": f"there is {word} here" for word in words})
    for group in groups:
        for word in group.split():
            assert set(images(word, database)) >= {f"{form}.jpg" for form in group.split()}, word
            assert len(images(word, database)) < 8, word


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("狗", "chinese.jpg"), ("海滩", "chinese.jpg"), ("狗 海滩", "chinese.jpg"), ("犬", "japanese.jpg"),
        ("ビーチ", "japanese.jpg"), ("ﾋﾞｰﾁ", "japanese.jpg"), ("หาด", "thai.jpg"), ("สุนัข", "thai.jpg"),
        ("개", "korean.jpg"), ("해변", "korean.jpg"), ("कुत्ता", "hindi.jpg"), ("CAFE", "french.jpg"),
        ("cafe\u0301", "french.jpg"), ("хлеб", "russian.jpg"), ("hunde", "german.jpg"),
    ],
)  # fmt: skip
def test_any_script_is_searched(query: str, found: str, folder: Path) -> None:
    database = write({
        "chinese.jpg": "一只狗在海滩上奔跑", "japanese.jpg": "ビーチを走る犬", "thai.jpg": "สุนัขวิ่งบนหาด",
        "korean.jpg": "개가 해변에서 달린다", "hindi.jpg": "एक कुत्ता दौड़ रहा है", "french.jpg": "un café au lait",
        "russian.jpg": "Хлеб на столе", "german.jpg": "zwei Hunde spielen",
    })  # fmt: skip
    assert images(query, database) == [found]


@pytest.mark.parametrize(
    "query",
    [
        '"or" NOT', "a OR (", "sign*", "that's", "or not", "NEAR(sign)", "caption:sign", "- sign", "^sign", "sign + {",
        "\udcff",
    ],
)  # fmt: skip
def test_query_syntax_of_fts5_is_not_interpreted(query: str, database: Path) -> None:
    assert "5.jpg" in images(f"{query} sign", database)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"dog on a beach"', {"4.jpg"}), ('"on a beach"', {"3.jpg", "4.jpg"}), ("beach -dogs", {"3.jpg"}),
        ('dog -"on a beach"', {"1.jpg", "2.jpg"}), ('beach -"" -!', {"1.jpg", "3.jpg", "4.jpg"}),
    ],
)  # fmt: skip
def test_phrases_and_excluded_words(query: str, expected: set[str], database: Path) -> None:
    assert set(images(query, database)) == expected


def test_related_words_stand_in_for_words_that_no_caption_contains(database: Path) -> None:
    matches, advice = search("a puppy on snow", database, 5)
    assert matches[0].image == "2.jpg"
    assert advice == ["no caption in captions.db contains puppy; searched for dog, dogs"]
    matches, advice = search("zeppelin", database, 5)
    assert matches == []
    assert advice[0] == "no caption in captions.db contains zeppelin"
    assert advice[1].startswith("frequent words: ")
    assert {"dog", "beach"} <= set(advice[1].removeprefix("frequent words: ").split(", "))


def test_files_and_queries_that_cannot_be_searched_are_errors(database: Path) -> None:
    Path("x.db").write_bytes(b"not a database, but long enough to be read as one" * 20)
    for file, message in (("none.db", "there is no"), ("x.db", "cannot be used")):
        with pytest.raises(JobError, match=message):
            search("dog", Path(file), 1)
    with pytest.raises(JobError, match="has no word"):
        search("?!", database, 1)
    with pytest.raises(JobError, match="has no word"):
        search("-dog", database, 1)
    Path("captions.jsonl").touch()
    with pytest.raises(JobError, match=r"captions\.jsonl cannot be searched: use a database"):
        search("dog", Path("captions.jsonl"), 1)


def test_find_says_what_else_there_is_and_what_is_wrong(database: Path) -> None:
    def stderr(*arguments: str) -> str:
        return CliRunner().invoke(main, ["find", *arguments]).stderr

    assert stderr("dog", "captions.db", "--limit", "2") == "looksay: more than 2 images match; --limit shows more\n"
    assert stderr("dog", "captions.db", "--limit", "4") == ""
    assert "the database comes last: looksay find dog captions.db" in stderr("captions.db", "dog")
    assert "no image in captions.db has the tag dogg\n" in stderr("captions.db", "--tag", "dogg", "--tag", "dog")


def test_find_prints_matches_and_writes_a_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert result.exit_code == 1
    assert result.stderr.startswith("looksay: no caption in c.db contains zeppelin\nlooksay: frequent words: ")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    result = CliRunner().invoke(main, ["find", "mountains", "../c.db"])
    assert result.stdout.startswith(f"{EXAMPLES / 'alps.jpg'}\t")


def tagged(*tags: str, query: str = "") -> list[str]:
    return [match.image for match in search(query, Path("captions.db"), 20, tags).matches]


@pytest.mark.usefixtures("database")
def test_a_tag_finds_what_is_more_probable_than_not_the_most_probable_first() -> None:
    assert tagged("dog") == ["2.jpg", "1.jpg"]
    assert tagged("puppies") == tagged("dog")
    assert tagged("beach", "dog") == ["1.jpg"]
    assert tagged("dog", query="beach") == ["1.jpg"]
    assert tagged("giraffe") == []


@pytest.mark.usefixtures("database")
def test_find_takes_tags_with_or_without_words() -> None:
    found = CliRunner().invoke(main, ["find", "captions.db", "--tag", "dog", "--tag", "snow"])
    assert (found.exit_code, found.stdout) == (0, "2.jpg\ttwo dogs are playing in the snow\n")
    nothing = CliRunner().invoke(main, ["find", "snow", "captions.db", "--tag", "man"])
    assert nothing.exit_code == 1
    assert "frequent tags: beach, dog, man, snow" in nothing.stderr
    assert "no caption in captions.db contains" not in nothing.stderr
    assert "name what to search for" in CliRunner().invoke(main, ["find", "captions.db"]).stderr
