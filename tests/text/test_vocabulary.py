"""Who loads a model next year needs its words to be the ones it was trained with."""

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


def test_only_frequent_words_are_known_and_the_most_frequent_come_first() -> None:
    vocabulary = Vocabulary.build(["A dog runs.", "a dog sits", "a cat"], min_count=2)
    assert vocabulary.tokens == (*SPECIAL, "a", "dog")
    assert vocabulary.encode("A dog's cat") == [3, 4, vocabulary.unk, vocabulary.unk]
    assert (vocabulary.start, vocabulary.end, vocabulary.unk) == (0, 1, 2)


@given(captions)
def test_known_captions_survive_ids_and_disk(texts: list[str]) -> None:
    vocabulary = Vocabulary.build(texts)
    with tempfile.TemporaryDirectory() as folder:
        vocabulary.save(Path(folder) / "words.json")
        loaded = Vocabulary.load(Path(folder) / "words.json")
    assert loaded == vocabulary
    for text in texts:
        ids = loaded.encode(text)
        assert list(loaded.to_tokens(ids)) == tokenize(text)
        assert loaded.encode(loaded.decode(ids)) == ids


def test_a_caption_cannot_smuggle_in_a_special_word() -> None:
    assert Vocabulary.build(["<start> <end>"]).tokens[:3] == SPECIAL
    assert len(set(Vocabulary.build(["<end> <end>"]).tokens)) == len(Vocabulary.build(["<end> <end>"]))


def test_broken_vocabularies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="starts with"):
        Vocabulary(("a", "b", "c"))
    with pytest.raises(DataError, match="twice"):
        Vocabulary((*SPECIAL, "dog", "dog"))
    for text in ("", "[]", '{"words": 3}', '{"words": ["a"]}'):
        (tmp_path / "words.json").write_text(text, encoding="utf-8")
        with pytest.raises(BundleError, match=r"words\.json"):
            Vocabulary.load(tmp_path / "words.json")
    with pytest.raises(BundleError, match="nowhere"):
        Vocabulary.load(tmp_path / "nowhere.json")
