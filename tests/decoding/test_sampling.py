"""Samples follow the model's probabilities, and can be reproduced by their seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_model import END, START, UNK, A, B, C, decode, decode_tokens, random_table, seeds

from looksay.decoding.options import DecodingOptions
from looksay.decoding.sampling import sample_tokens


def test_samples_follow_the_probabilities() -> None:
    table = random_table(3)
    options = DecodingOptions(num_captions=100, max_length=1, temperature=1.0)
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(100):
        for tokens in decode_tokens(table, dataclasses.replace(options, seed=seed)):
            counts[tokens] = counts.get(tokens, 0) + 1
    probabilities = np.exp(table[0, START, START].astype(float))
    probabilities[[START, UNK]] = 0
    probabilities /= probabilities.sum()
    for token in (END, A, B, C):
        tokens = () if token == END else (token,)
        assert counts.get(tokens, 0) / 10_000 == pytest.approx(probabilities[token], abs=0.02)


@given(seeds)
def test_samples_are_the_same_for_a_seed_and_greedy_in_the_limits(seed: int) -> None:
    table = random_table(seed, images=3)
    options = DecodingOptions(num_captions=4, max_length=6, temperature=1.5, seed=seed)
    assert decode(table, options) == decode(table, options)
    greedy = decode_tokens(table, DecodingOptions(num_beams=1, max_length=6))
    for limit in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-9}):
        samples = decode_tokens(table, dataclasses.replace(options, **limit))
        assert samples == [tokens for tokens in greedy for _ in range(4)]


@given(seeds, st.integers(1, 5), st.floats(0.05, 1.0))
def test_top_p_is_a_share_of_the_top_k(seed: int, top_k: int, top_p: float) -> None:
    """In this order, as in transformers: the share is of the tokens that are left."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(6))
    ranked = np.sort(probabilities)[::-1][:top_k] / np.sort(probabilities)[::-1][:top_k].sum()
    kept = np.argsort(-probabilities)[: int((np.cumsum(ranked) - ranked < top_p).sum())]
    options = DecodingOptions(temperature=1.0, top_k=top_k, top_p=top_p)
    rows = np.log(np.tile(probabilities, (200, 1)))
    tokens = sample_tokens(rows, np.linspace(0, 1, 200, endpoint=False), options)
    assert set(tokens.tolist()) <= set(kept.tolist())
    assert kept[0] in tokens


@given(seeds, st.integers(1, 4))
def test_samples_do_not_depend_on_the_batch(seed: int, num_captions: int) -> None:
    table = random_table(seed, images=4)
    options = DecodingOptions(num_captions=num_captions, max_length=5, temperature=1.5, seed=seed)
    assert decode(table, options) == [decode(table[image : image + 1], options)[0] for image in range(4)]
