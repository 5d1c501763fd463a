"""Diversity and form of captions, which scores do not show."""

from __future__ import annotations

from pathlib import Path

import pytest

from looksay import data
from looksay.metrics.diversity import diversity, overused_and_underused_words, weaknesses
from looksay.text.tokenizer import tokenize

CAPTIONS = [caption.split() for caption in ("a dog runs", "a dog runs", "a man with a", "a red red ball")]
REFERENCES = [[caption.split()] for caption in ("the dog runs", "a dog plays", "a man in a hat", "the ball and a hat")]


def test_measures_equal_a_count_by_hand() -> None:
    measures = diversity(CAPTIONS, REFERENCES, [["a", "dog", "runs"]])
    assert measures == {
        "mean length": 14 / 4,
        "distinct-1": 7 / 14,
        "distinct-2": 8 / 10,
        "distinct words": 7,
        "words never used": 2,  # the, hat; plays, in, and are in one image each
        "unique captions %": 75,
        "dangling endings %": 25,
        "repeated words %": 25,
        "agreement errors %": 0,
        "word precision %": pytest.approx(56.4, abs=0.05),  # 88, 41, 59 and 38
        "novel captions %": 50,
    }


def test_novelty_needs_training_captions() -> None:
    assert "novel captions %" not in diversity(CAPTIONS, REFERENCES)


def test_empty_captions_do_not_crash() -> None:
    assert diversity([[]], [[["a"]]])["mean length"] == 0


def weaknesses_of(captions: list[list[str]]) -> list[str]:
    return list(weaknesses(diversity(captions, []), len(captions)))


def test_captions_that_end_abruptly_repeat_or_hardly_differ_are_named_with_what_helps() -> None:
    assert not weaknesses_of([["a", "dog"], ["two", "cats"]] * 2)
    assert not weaknesses_of([["a", "man", "in", "a"]])  # one caption says nothing about a model
    broken = [["a", "man", "in", "a"], ["a", "red", "red"]]
    dangling, repeated, unique = weaknesses_of(broken * 10)
    assert dangling.startswith("50 % of the captions end abruptly: decode with no_dangling, or train with more images")
    assert repeated.startswith("50 % of the captions repeat a word, as those of an untrained model do: train")
    assert unique.startswith("only 10 % of the captions are different: train with more images")


def test_few_human_captions_dangle(flickr8k: Path) -> None:
    captions = [tokenize(text) for record in data.read(flickr8k).records for text in record.references]
    assert diversity(captions, [[c] for c in captions])["dangling endings %"] == pytest.approx(1.3, abs=0.05)


def test_overused_and_underused_words_come_with_their_rates() -> None:
    overused, underused = overused_and_underused_words(CAPTIONS, REFERENCES, 2)
    assert overused == [("a", 100, 75), ("red", 25, 0)]
    assert underused == [("the", 0, 50), ("hat", 0, 50)]
