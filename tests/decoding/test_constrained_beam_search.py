"""Captions with forced words are the best of those that contain them."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_model import (
    START,
    UNK,
    VOCABULARY,
    A,
    B,
    C,
    Table,
    ToyState,
    all_captions,
    decode,
    decode_tokens,
    log_prob,
    random_table,
    ranked,
    seeds,
)

from looksay import OptionError
from looksay.decoding.constrained_beam_search import Constraints, constrained_beam_search
from looksay.decoding.logits_processors import LogitsProcessor, forbid, no_repeat_ngram, process
from looksay.decoding.options import MAX_FORCE_WORDS, DecodingOptions
from looksay.decoding.state import Hypothesis

WIDE = DecodingOptions(num_beams=100, num_captions=3, max_length=3)


def search(
    table: Table, constraints: list[list[int]], options: DecodingOptions, *processors: LogitsProcessor
) -> list[Hypothesis]:
    def step(tokens: Any, state: ToyState) -> tuple[Any, ToyState]:
        return table[state.image, state.before, tokens].copy(), ToyState(state.image, tokens)

    processed = process(step, [partial(forbid, [START, UNK]), *processors], options)
    state = ToyState(np.array([0]), np.array([START]))
    return constrained_beam_search(processed, state, options, [Constraints(constraints)])[0]


@settings(deadline=None)
@given(seeds, st.sampled_from([[[A]], [[A, B]], [[A], [B, C]], [[A], [A, C]], []]))
def test_a_wide_beam_finds_the_best_of_all_captions_with_the_tokens(seed: int, constraints: list[list[int]]) -> None:
    table = random_table(seed)
    captions = [c for c in all_captions(3) if all(set(c) & set(tokens) for tokens in constraints)]
    hypotheses = search(table, constraints, WIDE)
    assert [hypothesis.tokens for hypothesis in hypotheses] == ranked(table[0], captions, WIDE.length_penalty)[:3]
    for hypothesis in hypotheses:
        assert hypothesis.log_prob == pytest.approx(log_prob(table[0], hypothesis.tokens), abs=1e-4)


@settings(deadline=None)
@given(
    seeds,
    st.sampled_from([["alpha"], ["alpha", "charlie"], ["Charlie alpha", "alpha"]]),
    st.sampled_from([{}, {"bad_words": ["bravo"]}, {"prefix": "bravo"}, {"prefix": "alpha"}, {"min_length": 3}]),
)
def test_force_words_give_the_best_of_all_captions_that_the_options_allow(
    seed: int, words: list[str], more: dict[str, Any]
) -> None:
    table = random_table(seed, images=2)
    forced = {token for word in words for token in VOCABULARY.encode(word)}
    prefix = tuple(VOCABULARY.encode(more.get("prefix", "")))
    captions = [
        caption
        for caption in all_captions(3)
        if forced <= set(caption)
        and caption[: len(prefix)] == prefix
        and not ("bad_words" in more and B in caption)
        and len(caption) >= more.get("min_length", 0)
    ]
    options = dataclasses.replace(WIDE, force_words=tuple(words), **more)
    for image, hypotheses in enumerate(decode(table, options)):
        expected = ranked(table[image], captions, options.length_penalty)[:3]
        assert [hypothesis.tokens for hypothesis in hypotheses] == expected


@given(seeds, st.integers(1, 4))
def test_a_narrow_beam_keeps_the_tokens(seed: int, num_beams: int) -> None:
    options = DecodingOptions(num_beams=num_beams, num_captions=num_beams, max_length=8)
    hypotheses = search(random_table(seed), [[B], [C]], options, partial(no_repeat_ngram, 1))
    assert hypotheses
    for hypothesis in hypotheses:
        assert {B, C} <= set(hypothesis.tokens)
        assert len(set(hypothesis.tokens)) == len(hypothesis.tokens)


@given(seeds)
def test_a_word_of_the_best_caption_changes_nothing(seed: int) -> None:
    table = random_table(seed)
    best = decode(table, WIDE)[0][0]
    if best.tokens:
        word = VOCABULARY.tokens[best.tokens[0]]
        assert decode(table, dataclasses.replace(WIDE, force_words=(word,)))[0][0] == best


def test_constraints_that_no_caption_satisfies_give_no_caption() -> None:
    table = random_table(0)
    assert search(table, [[A]], DecodingOptions(max_length=5), partial(forbid, [A])) == []
    assert search(table, [[A], [B]], DecodingOptions(max_length=1)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"force_words": ["delta"]}, "force_words: 'delta' is not in the model's vocabulary; use another word"),
        ({"force_words": ["<end>"]}, "'<end>' is not in the model's vocabulary"),
        ({"force_words": ["alpha"], "bad_words": ["alpha"]}, "force_words and bad_words both have alpha"),
        ({"force_words": ["alpha", "bravo"], "max_length": 1}, "max_length 1 is too short for force_words: use 2"),
        ({"force_words": ["alpha"], "prefix": "bravo", "max_length": 1}, "max_length 1 is too short"),
    ],
)
def test_force_words_that_no_caption_can_contain_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        decode(random_table(0), DecodingOptions(**options))


def test_the_number_of_force_words_is_limited() -> None:
    from looksay.decoding.decode import forced_tokens
    from looksay.text.vocabulary import SPECIAL, Vocabulary

    words = [f"word{number}" for number in range(MAX_FORCE_WORDS + 1)]
    vocabulary = Vocabulary((*SPECIAL, *words))
    assert len(forced_tokens(DecodingOptions(force_words=(*words[1:], words[1])), vocabulary)) == MAX_FORCE_WORDS
    with pytest.raises(OptionError, match="force_words has 7 words: use at most 6"):
        forced_tokens(DecodingOptions(force_words=tuple(words)), vocabulary)


def test_a_forced_word_of_the_prefix_is_not_required_twice() -> None:
    options = DecodingOptions(force_words=("alpha",), prefix="alpha", max_length=1)
    assert decode_tokens(random_table(0), options) == [(A,)]
