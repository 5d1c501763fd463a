"""Who asks for a word gets the best caption that has it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_search import END, START, Table, Toy, decode, log_prob, tables

from looksay.decoding import logits_processors
from looksay.decoding.constrained_beam_search import guided
from looksay.decoding.options import DecodingOptions
from looksay.decoding.search import Hypothesis


def ask(
    table: Table, wanted: list[list[int]], options: DecodingOptions, *more: logits_processors.LogitsProcessor
) -> list[Hypothesis]:
    def step(tokens: Any, state: Toy) -> tuple[Any, Toy]:
        return table[state.image, state.before, tokens].copy(), Toy(state.image, tokens)

    state = Toy(np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.int64))
    return guided(step, state, options, wanted, start=START, end=END, rules=[logits_processors.never([START]), *more])


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([[[2]], [[2, 3]], [[2], [3, 4]], [[2], [2, 4]], []]))
def test_a_wide_beam_finds_what_trying_everything_finds(seed: int, wanted: list[list[int]]) -> None:
    table, longest = tables(seed, images=1), 3
    every = [
        words
        for n in range(longest + 1)
        for words in itertools.product((2, 3, 4), repeat=n)
        if all(set(words) & set(ids) for ids in wanted)
    ]
    options = DecodingOptions(num_beams=100, num_captions=3, max_length=longest)
    ranked = sorted(every, key=lambda words: -log_prob(table[0], words) / (len(words) + 1) ** 0.7)
    found = ask(table, wanted, options)
    assert [caption.tokens for caption in found] == ranked[:3]
    for caption in found:
        assert caption.log_prob == pytest.approx(log_prob(table[0], caption.tokens), abs=1e-4)


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_narrow_beam_keeps_what_is_asked_for(seed: int, beam: int) -> None:
    table = tables(seed, images=1)
    found = ask(
        table,
        [[3], [4]],
        DecodingOptions(num_beams=beam, num_captions=beam, max_length=8),
        logits_processors.no_repeat(1),
    )
    assert found
    for caption in found:
        assert {3, 4} <= set(caption.tokens)
        assert len(set(caption.tokens)) == len(caption.tokens)


@given(st.integers(0, 10_000))
def test_what_the_caption_has_anyway_changes_nothing(seed: int) -> None:
    table, options = tables(seed, images=1), DecodingOptions(num_beams=100, max_length=3)
    ((free, *_),) = decode(table, options)
    if free.tokens:
        (asked, *_) = ask(table, [[free.tokens[0]]], options)
        assert asked == free


def test_what_cannot_be_said_is_not_said() -> None:
    table = tables(0, images=1)
    assert ask(table, [[2]], DecodingOptions(max_length=5), logits_processors.never([2])) == []
    assert ask(table, [[2], [3]], DecodingOptions(max_length=1)) == []
