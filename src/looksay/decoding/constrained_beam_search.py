"""Constrained beam search: the best captions that contain certain tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.hypothesis import Hypothesis, finish, rank, top_columns
from looksay.decoding.logits_processors import ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import S


def constrained_beam_search(
    step: ProcessedStep[S],
    state: S,
    options: DecodingOptions,
    constraints: Sequence[Sequence[int]],
    *,
    start: int,
    end: int,
) -> list[Hypothesis]:
    """Return the best captions of an image that contain one token from every set of tokens.

    A hypothesis is in one of ``2 ** len(constraints)`` states, which tell the constraints that it satisfies. Each
    state has a beam of its own, so that a hypothesis with a required token competes with others of its state alone.
    A caption can end only in the last state (Anderson et al. 2017, "Guided open vocabulary image captioning with
    constrained beam search").

    Parameters
    ----------
    step, options, start, end
        As in `beam_search`.
    state : State
        The decoder's state before the first token of one image: one row.
    constraints : sequence of sequence of int
        Sets of token ids.

    Returns
    -------
    list of Hypothesis
        At most ``options.num_captions``, the best first; empty if no caption satisfies the constraints.
    """
    width, goal = options.num_beams, 2 ** len(constraints) - 1
    last, log_prob, satisfied = np.array([start]), np.zeros(1), np.zeros(1, dtype=int)
    tokens = np.zeros((1, 0), dtype=np.int64)
    finished: list[Hypothesis] = []
    bits: NDArray[np.int_] | None = None
    while last.size and len(finished) < width:
        log_probs, state = step(last, state, tokens)
        log_probs[satisfied != goal, end] = -np.inf
        total = log_prob[:, None] + log_probs
        vocab = total.shape[1]
        bits = _constraint_bits(constraints, vocab) if bits is None else bits
        reached = satisfied[:, None] | bits
        kept = []
        for beam in range(goal + 1):
            best = _best_indices(np.where(reached == beam, total, -np.inf), 2 * width)
            for row, token in zip(*np.divmod(best[:width], vocab), strict=True):
                if token == end:
                    finished.append(finish(tokens[row], float(total[row, token]), options))
            kept.append(best[best % vocab != end][:width])
        row, last = np.divmod(np.concatenate(kept), vocab)
        tokens = np.concatenate([tokens[row], last[:, None]], axis=1)
        log_prob, satisfied, state = total[row, last], reached[row, last], state.take(row)
    return rank(finished, options.num_captions)


def _constraint_bits(constraints: Sequence[Sequence[int]], vocab: int) -> NDArray[np.int_]:
    """Return the constraints that each token satisfies, as bits: (vocab,)."""
    bits = np.zeros(vocab, dtype=int)
    for index, ids in enumerate(constraints):
        bits[list(ids)] |= 1 << index
    return bits


def _best_indices(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the flat indices of the largest finite values, the largest first."""
    flat = values.reshape(1, -1)
    indices: NDArray[np.intp] = top_columns(flat, count)[0]
    finite: NDArray[np.intp] = indices[np.isfinite(flat[0, indices])]
    return finite
