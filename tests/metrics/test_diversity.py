"""Who has good scores may still have captions that all say the same, or end in "with a"."""

from __future__ import annotations

from pathlib import Path

import pytest

from looksay import data
from looksay.metrics.diversity import health, over_and_under_said
from looksay.text.tokenizer import tokenize

SAID = [caption.split() for caption in ("a dog runs", "a dog runs", "a man with a", "a red red ball")]
REFERENCES = [[caption.split()] for caption in ("the dog runs", "a dog plays", "a man in a hat", "the ball and a hat")]


def test_health_by_hand() -> None:
    found = health(SAID, REFERENCES, [["a", "dog", "runs"]])
    assert found == {
        "mean words": 14 / 4,
        "distinct-1": 7 / 14,
        "distinct-2": 8 / 10,
        "distinct words": 7,
        "words never said": 2,  # the, hat; plays, in, and are in one image each
        "unique captions %": 75,
        "dangling endings %": 25,
        "repeated words %": 25,
        "novel captions %": 50,
    }


def test_without_training_captions_nothing_is_said_of_novelty() -> None:
    assert "novel captions %" not in health(SAID, REFERENCES)


def test_empty_captions_do_not_crash() -> None:
    assert health([[]], [[["a"]]])["mean words"] == 0


def test_few_human_captions_dangle(flickr8k: Path) -> None:
    captions = [tokenize(text) for record in data.read(flickr8k).records for text in record.references]
    assert health(captions, [[c] for c in captions])["dangling endings %"] == pytest.approx(1.3, abs=0.05)


def test_words_said_too_often_and_too_rarely_come_with_their_rates() -> None:
    over, under = over_and_under_said(SAID, REFERENCES, 2)
    assert over == [("a", 100, 75), ("red", 25, 0)]
    assert under == [("the", 0, 50), ("hat", 0, 50)]
