"""Greedy search and sampling (temperature, top-k, top-p): captions decoded token by token, without beams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.logits_processors import LogProbs, ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Hypothesis, Rows, S, finish, rank
from looksay.text.vocabulary import Vocabulary

Choose = Callable[[LogProbs, Rows, int], NDArray[np.intp]]
"""``choose(log_probs (active, vocab), rows (active,), step) -> tokens (active,)``, where `rows` number the captions."""


def greedy_search(step: ProcessedStep[S], state: S, options: DecodingOptions) -> list[list[Hypothesis]]:
    """Take the most probable token at every step; the same as a beam search of one beam, and faster."""
    captions = _decode_rows(step, state, options, lambda log_probs, *_: log_probs.argmax(axis=1))
    return [[caption] for caption in captions]


def sample(step: ProcessedStep[S], state: S, options: DecodingOptions) -> list[list[Hypothesis]]:
    """Sample ``options.num_captions`` captions of each image, the best first."""
    count = options.num_captions
    # The same numbers for every image, so that its captions do not depend on the others of a batch: (captions, steps).
    uniforms = np.random.default_rng(options.seed).random((count, options.max_length + 1))

    def choose(log_probs: LogProbs, rows: Rows, step: int) -> NDArray[np.intp]:
        return sample_tokens(log_probs, uniforms[rows % count, step], options)

    captions = _decode_rows(step, state.take(np.repeat(np.arange(len(state)), count)), options, choose)
    return [rank(captions[first : first + count], count) for first in range(0, len(captions), count)]


def _decode_rows(step: ProcessedStep[S], state: S, options: DecodingOptions, choose: Choose) -> list[Hypothesis]:
    """Decode one caption for each row."""
    captions: dict[int, Hypothesis] = {}
    rows = np.arange(len(state))
    tokens = np.zeros((len(rows), 0), dtype=np.int64)
    log_prob = np.zeros(len(rows))
    while rows.size:
        log_probs, state = step(tokens, state)
        last = choose(log_probs, rows, tokens.shape[1])
        log_prob = log_prob + log_probs[np.arange(rows.size), last]
        for index in np.flatnonzero(last == Vocabulary.end):
            captions[int(rows[index])] = finish(tokens[index], float(log_prob[index]), options)
        active = np.flatnonzero(last != Vocabulary.end)
        rows, log_prob = rows[active], log_prob[active]
        tokens = np.concatenate([tokens[active], last[active, None]], axis=1)
        state = state.take(active)
    return [captions[row] for row in sorted(captions)]


def sample_tokens(log_probs: LogProbs, uniforms: NDArray[np.float64], options: DecodingOptions) -> NDArray[np.intp]:
    """Sample a token (rows,) from log-probabilities (rows, vocab) by inverting the cumulative distribution.

    `uniforms` (rows,) are random numbers in [0, 1); the temperature, top_k and top_p of the options are used.
    """
    scores = log_probs.astype(np.float64)
    probabilities = np.exp((scores - scores.max(axis=1, keepdims=True)) / options.temperature)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    if options.top_k:
        ranked[:, options.top_k :] = 0
    preceding = np.cumsum(ranked, axis=1) - ranked
    ranked[preceding >= options.top_p * ranked.sum(axis=1, keepdims=True)] = 0
    cumulative = np.cumsum(ranked, axis=1)
    choice = (cumulative < uniforms[:, None] * cumulative[:, -1:]).sum(axis=1)
    return np.take_along_axis(order, choice[:, None], axis=1)[:, 0]
