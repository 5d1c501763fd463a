"""A caption that the model draws must be worth what it will be judged by, and its end must count."""

from __future__ import annotations

import pytest
import torch

from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training.scst import Reward

WORDS = Vocabulary((*SPECIAL, *"a dog runs on the grass two men talk boat in harbour".split()))
SAID = [["a dog runs on the grass", "the dog runs"], ["two men talk", "two men"], ["a boat in the harbour", "a boat"]]


@pytest.fixture
def reward() -> Reward:
    return Reward([[WORDS.encode(text) for text in texts] for texts in SAID], WORDS)


def drawn(*texts: str, ended: bool = True) -> torch.Tensor:
    rows = [[*WORDS.encode(text), *([WORDS.end] if ended else [])] for text in texts]
    steps = max(map(len, rows))
    return torch.tensor([row + [PADDING] * (steps - len(row)) for row in rows])


def test_it_is_cider_d_with_the_end_as_a_word(reward: Reward) -> None:
    references = References([[[*text.split(), "<end>"] for text in texts] for texts in SAID])
    said = ["a dog runs on the grass", "a dog talk", "two dog", "a boat in the grass"]
    images = [0, 0, 2, 2]
    expected = CiderD(references).image_scores(references.count([[*text.split(), "<end>"] for text in said]), images)
    assert reward(drawn(*said), [0, 2]).tolist() == pytest.approx(expected)


def test_a_caption_that_breaks_off_is_worth_less(reward: Reward) -> None:
    whole, broken = (reward(drawn("two men talk", ended=ended), [1]).item() for ended in (True, False))
    assert whole == pytest.approx(max(reward(drawn(text), [1]).item() for text in SAID[1]), rel=0.5)
    assert broken < whole


def test_an_unknown_word_is_worth_nothing() -> None:
    rare = Reward([[[WORDS.unk, 4]], [[5, 6]]], WORDS)
    assert rare(torch.tensor([[WORDS.unk, PADDING]]), [0]).item() == 0
