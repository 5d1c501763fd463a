"""The share of a caption's words that its references have, each word weighted by its rarity."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay.metrics.word_precision import WordPrecision

REFERENCES = [["a dog runs".split(), "the dog".split()], ["a man".split()], ["a boat".split()], ["two men".split()]]

words = st.lists(st.sampled_from("a the dog runs man boat two men red".split()), max_size=6)


@pytest.fixture
def precision() -> WordPrecision:
    return WordPrecision(REFERENCES)


def test_a_wrong_rare_word_costs_more_than_a_wrong_common_one(precision: WordPrecision) -> None:
    right, common, rare = (precision.image_scores([["two", "men", *wrong]], [3])[0] for wrong in ([], ["a"], ["red"]))
    assert right == 1
    assert rare == pytest.approx(2 / 3)  # a new word weighs as much as one of a single image
    assert rare < common < right
    assert precision.image_scores([["a", "boat"]], [1]) == [pytest.approx(math.log(4 / 3) / math.log(16 / 3))]


def test_captions_belong_to_the_images_that_are_named(precision: WordPrecision) -> None:
    assert precision.image_scores([["two"], ["two"], ["boat"]], [3, 0, 2]) == [1, 0, 1]


@given(st.lists(st.lists(words, min_size=1, max_size=3), min_size=2, max_size=4), words)
def test_it_is_a_share_of_the_words(references: list[list[list[str]]], caption: list[str]) -> None:
    precision = WordPrecision(references)
    assert all(0 <= score <= 1 + 1e-9 for score in precision.image_scores([caption] * len(references)))
    own = precision.image_scores([image[0] for image in references])
    assert all(score == pytest.approx(1) or score == 0 for score in own)  # 0: empty, or words of all images
