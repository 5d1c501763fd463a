"""A caption that lacks a confidently recognised object is decoded again, and mentions it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from looksay import DecodingOptions
from looksay.decoding.state import Hypothesis, Rescore, keep_score
from looksay.tagging.concepts import Concept, ConceptTable, add_mentions, decode_freely
from looksay.text.vocabulary import SPECIAL, Vocabulary

VOCABULARY = Vocabulary((*SPECIAL, "a", "an", "dog", "cat", "owl", "runs"))
FREQUENCIES = {"<end>": 0.2, "a": 0.2, "an": 0.1, "dog": 0.25, "cat": 0.02, "owl": 0.13, "runs": 0.1}
LOG_PROBS = np.log([FREQUENCIES.get(token, 1e-9) for token in VOCABULARY.tokens]).astype(np.float32)
NAMES = ("dog", "cat", "owl")
TABLE = ConceptTable(
    tuple(Concept((name,), (name,), "animal", (index,)) for index, name in enumerate(NAMES)), rare_words=("owl",)
)
OPTIONS = DecodingOptions(num_beams=6, num_captions=2, max_length=4, no_repeat_ngram_size=1, min_length=2)


@dataclass(frozen=True)
class Rows:
    count: int

    def __len__(self) -> int:
        return self.count

    def take(self, rows: NDArray[np.intp]) -> Self:
        return type(self)(len(rows))


def captions(
    options: DecodingOptions = OPTIONS, /, rescore: Rescore = keep_score, **probabilities: float
) -> list[tuple[str, ...]]:
    def step(tokens: NDArray[np.int64], state: Rows) -> tuple[Any, Rows]:
        return np.tile(LOG_PROBS, (len(tokens), 1)), state

    recognised = np.array([[probabilities.get(name, 0.0) for name in NAMES]])
    captions = decode_freely(step, Rows(1), options, VOCABULARY, TABLE, rescore)
    (hypotheses,) = add_mentions(step, Rows(1), options, VOCABULARY, TABLE, recognised, captions, rescore)
    return [VOCABULARY.to_tokens(hypothesis.tokens) for hypothesis in hypotheses]


def test_captions_with_and_without_the_object_are_ranked_by_the_same_score() -> None:
    def unlikely(_: int, hypothesis: Hypothesis) -> Hypothesis:
        """A score by which no caption with a cat is believed."""
        return replace(hypothesis, score=hypothesis.score - 100 * ("cat" in VOCABULARY.to_tokens(hypothesis.tokens)))

    assert captions(rescore=unlikely, cat=0.9) == captions(rescore=unlikely)

    def longer(_: int, hypothesis: Hypothesis) -> Hypothesis:
        return replace(hypothesis, score=hypothesis.score + len(hypothesis.tokens))

    (best, *_), (longest, *_) = captions(cat=0.9), captions(rescore=longer, cat=0.9)
    assert "cat" in longest
    assert len(longest) > len(best)


def test_a_recognised_object_replaces_those_that_it_excludes() -> None:
    assert all("dog" in tokens for tokens in captions())
    assert all("cat" in tokens and "dog" not in tokens for tokens in captions(cat=0.9))
    assert captions(cat=0.4) == captions()
    assert captions(cat=0.9, dog=0.95) == captions()


@pytest.mark.parametrize("recognised", [{}, {"cat": 0.9}, {"owl": 0.9}])
def test_the_best_caption_does_not_depend_on_how_many_are_asked_for(recognised: dict[str, float]) -> None:
    lists = [captions(replace(OPTIONS, num_captions=count), keep_score, **recognised) for count in (1, 2, 3, 6)]
    assert len({found[0] for found in lists}) == 1
    assert all(len(set(found)) == len(found) for found in lists)
    assert len(lists[-1]) > 2


def test_a_rare_word_is_decoded_only_where_it_is_required_and_with_its_article() -> None:
    assert all("owl" not in tokens for tokens in captions() + captions(cat=0.9))
    with_owl = captions(owl=0.9)
    assert all("owl" in tokens for tokens in with_owl)
    assert all(("a", "owl") not in pairwise(tokens) for tokens in with_owl)


@pytest.mark.parametrize("more", [{"tags": False}, {"temperature": 0.5}])
def test_the_second_decoding_can_be_turned_off(more: dict[str, Any]) -> None:
    options = replace(OPTIONS, **more)
    assert captions(options, cat=0.9) == captions(options)


def test_forced_words_and_the_prefix_are_kept() -> None:
    forced = captions(replace(OPTIONS, force_words=("dog", "runs")), cat=0.9)
    assert all({"dog", "runs", "cat"} <= set(tokens) for tokens in forced)
    assert all(tokens[0] == "dog" for tokens in captions(replace(OPTIONS, prefix="dog"), cat=0.9))
    assert all({"owl"} <= set(tokens) for tokens in captions(replace(OPTIONS, force_words=("owl",))))
    assert all("owl" not in tokens for tokens in captions(replace(OPTIONS, bad_words=("owl",)), owl=0.9))
