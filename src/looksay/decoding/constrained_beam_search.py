"""Constrained beam search: the best captions that contain certain tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from looksay.decoding.beam_search import top_columns
from looksay.decoding.logits_processors import ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Hypothesis, S, finish, rank
from looksay.text.vocabulary import Vocabulary


def constrained_beam_search(
    step: ProcessedStep[S], state: S, options: DecodingOptions, constraints: Sequence[Sequence[int]]
) -> list[Hypothesis]:
    """Return the best captions of an image (one row of state) that contain one token from every set of tokens.

    A hypothesis is in one of ``2 ** len(constraints)`` states, which tell the constraints that it satisfies. Each
    state has a beam of its own, so that a hypothesis with a required token competes with others of its state alone.
    A caption can end only in the last state (Anderson et al. 2017, "Guided open vocabulary image captioning with
    constrained beam search"). The list is empty if no caption satisfies the constraints.
    """
    width, goal = options.num_beams, 2 ** len(constraints) - 1
    last, log_prob, satisfied = np.array([Vocabulary.start]), np.zeros(1), np.zeros(1, dtype=int)
    tokens = np.zeros((1, 0), dtype=np.int64)
    finished: list[Hypothesis] = []
    while last.size and len(finished) < width:
        log_probs, state = step(last, state, tokens)
        log_probs[satisfied != goal, Vocabulary.end] = -np.inf
        total = log_prob[:, None] + log_probs
        vocab = total.shape[1]
        bits = np.zeros(vocab, dtype=int)  # the constraints that each token satisfies
        for index, ids in enumerate(constraints):
            bits[list(ids)] |= 1 << index
        reached = satisfied[:, None] | bits
        kept = []
        for beam in range(goal + 1):
            values = np.where(reached == beam, total, -np.inf).reshape(1, -1)
            best = top_columns(values, 2 * width)[0]
            best = best[np.isfinite(values[0, best])]
            for row, token in zip(*np.divmod(best[:width], vocab), strict=True):
                if token == Vocabulary.end:
                    finished.append(finish(tokens[row], float(total[row, token]), options))
            kept.append(best[best % vocab != Vocabulary.end][:width])
        row, last = np.divmod(np.concatenate(kept), vocab)
        tokens = np.concatenate([tokens[row], last[:, None]], axis=1)
        log_prob, satisfied, state = total[row, last], reached[row, last], state.take(row)
    return rank(finished, options.num_captions)
