"""New words get rows near those of similar words; the table of concepts has every ImageNet class once."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import timm.data
import torch

from looksay import DataError
from looksay.tagging.concepts import Concept
from looksay.text.tokenizer import tokenize
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import vocabulary_expansion

KNOWN = Vocabulary((*SPECIAL, "dog", "cat", "car", "bus"))
EXTENDED = KNOWN.extended(["cat", "wolf", "tram", "qwerty"])
NAMES = ("decoder.embedding.table.weight", "decoder.output_head.2.weight", "decoder.output_head.2.bias")


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    file = tmp_path / "glove.txt"
    near = {"dog": (9, 1), "cat": (8, 0), "wolf": (9, 0), "car": (0, 9), "bus": (1, 8), "tram": (0, 8)}
    file.write_text("".join(f"{word} {x} {y}\n" for word, (x, y) in near.items()), encoding="utf-8")
    return file


def weights() -> dict[str, torch.Tensor]:
    rows = torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [5, 0, 1], [5, 0, 1], [0, 5, 1], [0, 5, 1]])
    return {NAMES[0]: rows, NAMES[1]: rows.clone(), NAMES[2]: rows[:, 0].clone(), "decoder.other": torch.ones(2)}


def test_new_words_get_rows_near_those_of_similar_words(vectors: Path) -> None:
    assert EXTENDED.tokens == (*KNOWN.tokens, "wolf", "tram", "qwerty")
    before, after = weights(), vocabulary_expansion.expand(weights(), KNOWN, EXTENDED, str(vectors))
    assert set(after) == set(before)
    for name in NAMES:
        assert after[name][: len(KNOWN)].equal(before[name])
        assert len(after[name]) == len(EXTENDED)
    wolf, tram, unknown = after[NAMES[0]][-3:].numpy()
    assert np.linalg.norm(wolf - [5, 0, 1]) < 1 < np.linalg.norm(wolf - [0, 5, 1])
    assert np.linalg.norm(tram - [0, 5, 1]) < 1
    assert unknown == pytest.approx([2.5, 2.5, 1])  # without a vector: the mean row


def test_a_file_without_any_of_the_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("zzz 1 2\n", encoding="utf-8")
    with pytest.raises(DataError, match="has none of the 10 words"):
        vocabulary_expansion.expand(weights(), KNOWN, EXTENDED, str(tmp_path / "other.txt"))


def test_without_vectors_a_new_word_is_the_mean_of_all() -> None:
    after = vocabulary_expansion.expand(weights(), KNOWN, EXTENDED)
    assert after[NAMES[0]][-1].tolist() == pytest.approx(weights()[NAMES[0]].mean(dim=0).tolist())


TABLE = vocabulary_expansion.read_concepts()
BY_NAME = {noun.name: noun for noun in TABLE}


def lemmas() -> list[str]:
    info = Path(str(resources.files(timm.data))) / "_info"
    lemma_of = dict(line.split("\t") for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    return [lemma_of[synset] for synset in (info / "imagenet_synsets.txt").read_text().split()]


def test_each_class_is_called_one_thing_and_what_that_is() -> None:
    assert len(BY_NAME) == len(TABLE)
    own = Counter[int]()
    for noun in TABLE:
        assert len(set(noun.classes)) == len(noun.classes)
        assert all(0 <= each < 1000 for each in noun.classes)
        below = {each for other in TABLE if other is not noun and noun.name in other.named_by for each in other.classes
                 if noun.name not in other.words and set(noun.words) < set(other.named_by)}  # fmt: skip
        own.update(set(noun.classes) - below)
    assert [each for each, count in own.items() if count > 1] == []


@pytest.mark.parametrize("noun", TABLE, ids=lambda noun: noun.name)
def test_words_are_single_words_of_one_noun(noun: Concept) -> None:
    for word in noun.words:
        assert tokenize(word) == [word]
        assert [other.name for other in TABLE if word in other.words] == [noun.name]


def test_well_known_classes_are_called_by_their_names() -> None:
    called = dict(enumerate(lemmas()))
    for name, number in (("dog", 207), ("cat", 281), ("panda", 388), ("zebra", 340), ("apple", 948), ("pizza", 963)):
        assert number in BY_NAME[name].classes, called[number]
    assert 388 in BY_NAME["bear"].classes
    assert {"panda", "pandas", "bear"} <= set(BY_NAME["panda"].named_by)
    assert "panda" in BY_NAME["bear"].named_by
    assert "bear" not in BY_NAME["panda"].words
