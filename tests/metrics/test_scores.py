"""Who puts a number beside a paper's needs the paper's number."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looksay import DataError, data
from looksay.metrics import score
from looksay.metrics.bleu import bleu
from looksay.metrics.cider import CiderD
from looksay.words import tokenize

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
PREDICTIONS = [image["prediction"] for image in GOLDEN["images"]]
REFERENCES = [image["references"] for image in GOLDEN["images"]]

words = st.lists(st.sampled_from("a dog runs man in red".split()), min_size=1, max_size=8)
corpora = st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=3)), min_size=1, max_size=6)


def test_scores_equal_those_of_pycocoevalcap() -> None:
    assert score(PREDICTIONS, REFERENCES) == pytest.approx(GOLDEN["scores"], abs=1e-9)


def test_cider_d_of_each_image_equals_that_of_pycocoevalcap() -> None:
    references = [[tokenize(text) for text in texts] for texts in REFERENCES]
    scores = CiderD(references).image_scores([tokenize(text) for text in PREDICTIONS])
    assert scores == pytest.approx(GOLDEN["cider_by_image"], abs=1e-9)


def test_human_captions_of_flickr8k_score_as_coco_caption_says(flickr8k: Path) -> None:
    """Caption #0 against #1 to #4 of the val split; the figures are pycocoevalcap's, with the Java tokeniser."""
    val = data.read(flickr8k).split("val")
    scores = score([record.references[0] for record in val], [record.references[1:] for record in val])
    expected = {
        "BLEU-1": 0.6275129488191882,
        "BLEU-2": 0.44342979576264063,
        "BLEU-3": 0.30708129327795985,
        "BLEU-4": 0.21160098501492874,
        "CIDEr-D": 0.8036617887303764,
    }
    assert scores == pytest.approx(expected, abs=1e-9)


def test_bleu_by_hand() -> None:
    """Four of five words count, as "the" is in the reference once; and five words are too few for seven."""
    (first, *_) = bleu(["the the cat sat down".split()], [["the cat sat down there on it".split()]])
    assert first == pytest.approx(4 / 5 * math.exp(1 - 7 / 5), abs=1e-6)


def test_the_closest_reference_sets_the_length_and_the_shorter_one_in_a_tie() -> None:
    (first, *_) = bleu(["a b c".split()], [["a b".split(), "a b c d".split()]])
    assert first == pytest.approx(1, abs=1e-6)


@settings(deadline=None)
@given(corpora)
def test_a_reference_repeated_is_perfect_and_nothing_is_better(corpus: list[tuple[list[str], list[list[str]]]]) -> None:
    said, references = [caption for caption, _ in corpus], [others for _, others in corpus]
    perfect = [others[0] for others in references]
    assert bleu(perfect, references)[0] == pytest.approx(1, abs=1e-6)
    assert all(0 <= value <= 1 + 1e-6 for value in bleu(said, references))
    cider = CiderD(references)
    assert 0 <= cider.score(said) <= 10 + 1e-9
    assert cider.score(said) == pytest.approx(sum(cider.image_scores(said)) / len(said))


def test_one_image_alone_has_a_cider_d_of_zero() -> None:
    assert CiderD([[["a", "dog"]]]).score([["a", "dog"]]) == 0


@pytest.mark.parametrize(
    ("predictions", "references"), [(["a"], []), ([], []), (["a"], [[]]), (["a dog"], ["a dog"]), ("a", ["b"])]
)
def test_what_cannot_be_scored_is_refused(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    with pytest.raises(DataError):
        score(predictions, references)


def test_an_empty_caption_scores_nothing_and_does_not_crash() -> None:
    scores = score(["", "a dog"], [["a cat"], ["a dog runs"]])
    assert 0 < scores["BLEU-1"] < 1
