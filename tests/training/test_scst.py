"""The SCST reward is CIDEr-D with the end of the caption, and word precision if asked for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.metrics.word_precision import WordPrecision
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training.scst import Reward

WORDS = Vocabulary((*SPECIAL, *"a dog runs on the grass two men talk boat in harbour".split()))
REFERENCES = [
    ["a dog runs on the grass", "the dog runs"],
    ["two men talk", "two men"],
    ["a boat in the harbour", "a boat"],
]


@pytest.fixture
def reward() -> Reward:
    return Reward([[WORDS.encode(text) for text in texts] for texts in REFERENCES], WORDS)


def token_rows(*texts: str, ended: bool = True) -> NDArray[np.int64]:
    rows = [[*WORDS.encode(text), *([WORDS.end] if ended else [])] for text in texts]
    steps = max(map(len, rows))
    return np.array([row + [PADDING] * (steps - len(row)) for row in rows])


def test_it_is_cider_d_with_end_as_a_word(reward: Reward) -> None:
    references = References([[[*text.split(), "<end>"] for text in texts] for texts in REFERENCES])
    captions = ["a dog runs on the grass", "a dog talk", "two dog", "a boat in the grass"]
    images = [0, 0, 2, 2]
    expected = CiderD(references).image_scores(
        references.count([[*text.split(), "<end>"] for text in captions]), images
    )
    assert reward(token_rows(*captions), [0, 2]).tolist() == pytest.approx(expected)


def test_a_truncated_caption_scores_less(reward: Reward) -> None:
    complete, truncated = (reward(token_rows("two men talk", ended=ended), [1]).item() for ended in (True, False))
    assert complete == pytest.approx(max(reward(token_rows(text), [1]).item() for text in REFERENCES[1]), rel=0.5)
    assert truncated < complete


def test_an_unknown_word_matches_nothing() -> None:
    rare = Reward([[[WORDS.unk, 4]], [[5, 6]]], WORDS)
    assert rare(np.array([[WORDS.unk, PADDING]]), [0]).item() == 0


def test_precision_is_added_with_its_weight(reward: Reward) -> None:
    references = [[WORDS.encode(text) for text in texts] for texts in REFERENCES]
    both = Reward(references, WORDS, word_precision=2.0)
    captions, images = token_rows("a dog runs", "the dog talk", "two men", "two boat"), [0, 1]
    complete = [[text.split() for text in texts] for texts in REFERENCES]
    precisions = WordPrecision(complete).image_scores(
        [text.split() for text in ("a dog runs", "the dog talk", "two men", "two boat")], [0, 0, 1, 1]
    )
    assert both(captions, images) == pytest.approx(reward(captions, images) + 2 * np.array(precisions))
