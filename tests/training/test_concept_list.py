"""The table of concepts has every ImageNet class once, under common nouns."""

from __future__ import annotations

from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
import timm.data

from looksay.tagging.concepts import Concept
from looksay.text.tokenizer import tokenize
from looksay.training import concept_list

TABLE = concept_list.read()
BY_NAME = {noun.name: noun for noun in TABLE}


def lemmas() -> list[str]:
    info = Path(str(resources.files(timm.data))) / "_info"
    lemma_of = dict(line.split("\t") for line in (info / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    return [lemma_of[synset] for synset in (info / "imagenet_synsets.txt").read_text().split()]


def test_each_class_is_called_one_thing_and_what_that_is() -> None:
    assert len(BY_NAME) == len(TABLE)
    own = Counter[int]()
    for noun in TABLE:
        assert noun.classes or noun.group, noun.name
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
