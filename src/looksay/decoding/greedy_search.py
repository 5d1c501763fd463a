"""Greedy search, and the loop that it shares with sampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.hypothesis import Hypothesis, finish
from looksay.decoding.logits_processors import LogProbs, ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Rows, S

Choose = Callable[[LogProbs, Rows, int], NDArray[np.intp]]
"""``choose(log_probs (active, vocab), rows (active,), step) -> tokens (active,)``, where `rows` number the captions."""


def greedy_search(
    step: ProcessedStep[S], state: S, options: DecodingOptions, *, start: int, end: int
) -> list[list[Hypothesis]]:
    """Take the most probable token at every step; the same as a beam search of one beam, and faster."""
    captions = decode_rows(step, state, options, lambda log_probs, *_: log_probs.argmax(axis=1), start=start, end=end)
    return [[caption] for caption in captions]


def decode_rows(
    step: ProcessedStep[S], state: S, options: DecodingOptions, choose: Choose, *, start: int, end: int
) -> list[Hypothesis]:
    """Decode one caption for each row, token by token."""
    captions: dict[int, Hypothesis] = {}
    rows = np.arange(len(state))
    tokens = np.zeros((len(rows), 0), dtype=np.int64)
    log_prob = np.zeros(len(rows))
    last = np.full(len(rows), start, dtype=np.int64)
    while rows.size:
        log_probs, state = step(last, state, tokens)
        last = choose(log_probs, rows, tokens.shape[1])
        log_prob = log_prob + log_probs[np.arange(rows.size), last]
        for index in np.flatnonzero(last == end):
            captions[int(rows[index])] = finish(tokens[index], float(log_prob[index]), options)
        active = np.flatnonzero(last != end)
        rows, last, log_prob = rows[active], last[active], log_prob[active]
        tokens = np.concatenate([tokens[active], last[:, None]], axis=1)
        state = state.take(active)
    return [captions[row] for row in sorted(captions)]
