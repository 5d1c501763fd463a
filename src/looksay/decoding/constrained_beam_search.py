"""Constrained beam search: the best captions that contain certain tokens, batched over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.beam_search import best_continuations
from looksay.decoding.logits_processors import ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Hypothesis, S, finish, rank
from looksay.text.vocabulary import Vocabulary


class Constraints(NamedTuple):
    """What the captions of an image must and must not contain."""

    required: Sequence[Sequence[int]]  # one token of each of these
    forbidden: Sequence[int] = ()


def constrained_beam_search(
    step: ProcessedStep[S], state: S, options: DecodingOptions, constraints: Sequence[Constraints]
) -> list[list[Hypothesis]]:
    """Return the best captions of each image (one row of state) that satisfy its constraints.

    All images must require the same number of tokens. A hypothesis is in one of ``2 ** number`` states, which tell the
    tokens that it contains. Each state has a beam of its own, so that a hypothesis with a required token competes with
    others of its state alone. A caption can end only in the last state (Anderson et al. 2017, "Guided open vocabulary
    image captioning with constrained beam search"). The list of an image is empty if no caption satisfies its
    constraints.
    """
    width, goal = options.num_beams, 2 ** len(constraints[0].required) - 1
    active = np.arange(len(state))  # images that are not finished
    last, tokens = np.full(len(state), Vocabulary.start), np.zeros((len(state), 1, 0), dtype=np.int64)
    log_prob, contained = np.zeros((len(state), 1)), np.zeros((len(state), 1), dtype=np.uint8)
    finished: list[list[Hypothesis]] = [[] for _ in active]
    bits = forbidden = None
    while active.size:
        rows = log_prob.shape[1]
        log_probs, state = step(last, state, tokens.reshape(len(last), -1))
        vocab = log_probs.shape[1]
        if bits is None or forbidden is None:
            bits, forbidden = _masks(constraints, vocab)
        total = log_prob[:, :, None] + log_probs.reshape(len(active), rows, vocab)
        total[np.broadcast_to(forbidden[active, None], total.shape)] = -np.inf
        total[contained != goal, Vocabulary.end] = -np.inf
        reached, image = contained[:, :, None] | bits[active, None], np.arange(len(active))[:, None]
        beams = []
        for beam in range(goal + 1):
            values = np.where(reached == beam, total, -np.inf).reshape(len(active), -1)
            beams.append(best_continuations(values, values, vocab, width))
            for row, parent, value in beams[-1].ended:
                finished[active[row]].append(finish(tokens[row, parent], value, options))
        parents, last, log_prob = (np.concatenate(columns, axis=1) for columns in list(zip(*beams, strict=True))[1:])
        tokens = np.concatenate([tokens[image, parents], last[:, :, None]], axis=2)
        contained = reached[image, parents, last]
        going = np.array([len(finished[i]) < width for i in active]) & np.isfinite(log_prob).any(axis=1)
        active, tokens, log_prob, contained = active[going], tokens[going], log_prob[going], contained[going]
        last, state = last[going].ravel(), state.take((image * rows + parents)[going].ravel())
    return [rank(captions, options.num_captions) for captions in finished]


def _masks(constraints: Sequence[Constraints], vocab: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the requirements that each token meets, as bits, and whether it is forbidden: (images, vocab)."""
    bits, forbidden = np.zeros((len(constraints), vocab), dtype=np.uint8), np.zeros((len(constraints), vocab), bool)
    for image, constraint in enumerate(constraints):
        for index, ids in enumerate(constraint.required):
            bits[image, list(ids)] |= 1 << index
        forbidden[image, list(constraint.forbidden)] = True
    return bits, forbidden
