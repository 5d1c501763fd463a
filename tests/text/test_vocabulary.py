"""Token ids are stable: by frequency, and as saved."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay import BundleError, DataError
from looksay.text.tokenizer import tokenize
from looksay.text.vocabulary import SPECIAL, Vocabulary

captions = st.lists(st.text(alphabet="abcé'-中文 \t,!", max_size=30), max_size=8)


def test_a_vocabulary_has_the_frequent_words_the_most_frequent_first() -> None:
    vocabulary = Vocabulary.build(["A dog runs.", "a dog sits", "a cat"], min_count=2)
    assert vocabulary.tokens == (*SPECIAL, "a", "dog")
    assert vocabulary.encode("A dog's cat") == [3, 4, vocabulary.unk, vocabulary.unk]
    assert (vocabulary.start, vocabulary.end, vocabulary.unk) == (0, 1, 2)


@given(captions)
def test_captions_survive_ids_and_the_file(texts: list[str]) -> None:
    vocabulary = Vocabulary.build(texts)
    with tempfile.TemporaryDirectory() as folder:
        vocabulary.save(Path(folder) / "vocabulary.json")
        loaded = Vocabulary.load(Path(folder) / "vocabulary.json")
    assert loaded == vocabulary
    for text in texts:
        ids = loaded.encode(text)
        assert list(loaded.to_tokens(ids)) == tokenize(text)
        assert loaded.encode(loaded.decode(ids)) == ids


def test_a_caption_cannot_contain_a_special_token() -> None:
    assert Vocabulary.build(["<start> <end>"]).tokens[:3] == SPECIAL
    vocabulary = Vocabulary.build(["<end> <end>"])
    assert vocabulary.tokens == SPECIAL
    assert vocabulary.encode("<start> <end>") == [vocabulary.unk] * 2
    assert vocabulary.known_ids(SPECIAL) == []


def test_an_extended_vocabulary_keeps_its_ids() -> None:
    vocabulary = Vocabulary.build(["a dog"]).extended(["cat", "dog", "cat"])
    assert vocabulary.tokens == (*SPECIAL, "a", "dog", "cat")


def test_broken_vocabularies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="starts with"):
        Vocabulary(("a", "b", "c"))
    with pytest.raises(DataError, match="duplicate words: dog"):
        Vocabulary((*SPECIAL, "dog", "dog"))
    for text in ("", "[]", "{}", '{"tokens": 3}', '{"tokens": ["a"]}'):
        (tmp_path / "vocabulary.json").write_text(text, encoding="utf-8")
        with pytest.raises(BundleError, match=r"vocabulary\.json"):
            Vocabulary.load(tmp_path / "vocabulary.json")
    with pytest.raises(BundleError, match="nowhere"):
        Vocabulary.load(tmp_path / "nowhere.json")
