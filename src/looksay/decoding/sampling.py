"""Sampling with temperature, top-k and top-p."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.greedy_search import decode_rows
from looksay.decoding.hypothesis import Hypothesis, rank
from looksay.decoding.logits_processors import LogProbs, ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Rows, S


def sample(
    step: ProcessedStep[S], state: S, options: DecodingOptions, *, start: int, end: int
) -> list[list[Hypothesis]]:
    """Sample ``options.num_captions`` captions of each image, the best first."""
    count = options.num_captions
    # The same numbers for every image, so that its captions do not depend on the others of a batch: (captions, steps).
    uniforms = np.random.default_rng(options.seed).random((count, options.max_length + 1))

    def choose(log_probs: LogProbs, rows: Rows, step: int) -> NDArray[np.intp]:
        return sample_tokens(log_probs, uniforms[rows % count, step], options)

    rows = np.repeat(np.arange(len(state)), count)
    captions = decode_rows(step, state.take(rows), options, choose, start=start, end=end)
    return [rank(captions[first : first + count], count) for first in range(0, len(captions), count)]


def sample_tokens(log_probs: LogProbs, uniforms: NDArray[np.float64], options: DecodingOptions) -> NDArray[np.intp]:
    """Sample a token for each row by inverting its cumulative distribution.

    Parameters
    ----------
    log_probs : ndarray, shape (rows, vocab)
    uniforms : ndarray, shape (rows,)
        Random numbers in [0, 1).
    options : DecodingOptions
        Its temperature, top_k and top_p are used.

    Returns
    -------
    ndarray of int, shape (rows,)
    """
    probabilities = np.exp((log_probs - log_probs.max(axis=1, keepdims=True)) / options.temperature)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    preceding = np.cumsum(ranked, axis=1) - ranked
    ranked[preceding >= options.top_p] = 0
    if options.top_k:
        ranked[:, options.top_k :] = 0
    cumulative = np.cumsum(ranked, axis=1)
    choice = (cumulative < uniforms[:, None] * cumulative[:, -1:]).sum(axis=1)
    return np.take_along_axis(order, choice[:, None], axis=1)[:, 0]
