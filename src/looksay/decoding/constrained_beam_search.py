"""Constrained beam search: the best captions that contain certain tokens, batched over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.beam_search import Continuations, split, top_columns
from looksay.decoding.logits_processors import LogProbs, ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Hypothesis, S, Tokens, finish, rank
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
    tokens = np.zeros((len(state), 1, 0), dtype=np.int64)
    log_prob, contained = np.zeros((len(state), 1)), np.zeros((len(state), 1), dtype=np.int64)
    finished: list[list[Hypothesis]] = [[] for _ in active]
    required, bits = _required_tokens(constraints)
    masks: LogProbs | None = None
    while active.size:
        rows, image = log_prob.shape[1], np.arange(len(active))[:, None]
        log_probs, state = step(tokens.reshape(len(state), -1), state)
        log_probs[(contained != goal).ravel(), Vocabulary.end] = -np.inf
        masks = _masks(constraints, required, log_probs.shape[1]) if masks is None else masks
        of, met = _continuations(log_prob, log_probs, masks[active], required[active], bits[active], 2 * width)
        reached = contained[image, of.parent] | met
        beams = []
        for beam in range(goal + 1):
            in_beam = of._replace(log_prob=np.where(reached == beam, of.log_prob, -np.inf))
            best = np.argsort(-in_beam.log_prob, axis=1, kind="stable")[:, : 2 * width]
            ended, others = split(in_beam.at(best), width)
            beams.append(others)
            for row, parent, value in ended:
                finished[active[row]].append(finish(tokens[row, parent], value, options))
        parents, new, log_prob = (np.concatenate(columns, axis=1) for columns in zip(*beams, strict=True))
        tokens = np.concatenate([tokens[image, parents], new[:, :, None]], axis=2)
        contained = np.concatenate([np.full_like(others.parent, beam) for beam, others in enumerate(beams)], axis=1)
        going = np.array([len(finished[i]) < width for i in active]) & np.isfinite(log_prob).any(axis=1)
        active, tokens, log_prob, contained = active[going], tokens[going], log_prob[going], contained[going]
        state = state.take((image * rows + parents)[going].ravel())
    return [rank(captions, options.num_captions) for captions in finished]


def _continuations(
    log_prob: NDArray[np.float64],
    log_probs: LogProbs,
    masks: LogProbs,
    required: Tokens,
    bits: NDArray[np.int64],
    count: int,
) -> tuple[Continuations, NDArray[np.int64]]:
    """Return continuations of all hypotheses, and the requirements that their tokens meet, (images, continuations).

    They are those by each required token and the `count` best of each hypothesis by other tokens: the latter leave a
    hypothesis in its state, where only the best of them matter.
    """
    images, rows = log_prob.shape
    other_log_probs = log_probs + np.repeat(masks, rows, axis=0)
    others = top_columns(other_log_probs, count)
    needed, met = (np.repeat(array, rows, axis=0) for array in (required, bits))
    needed_log_probs = np.where(met, np.take_along_axis(log_probs, needed, axis=1), -np.inf)
    values = [np.take_along_axis(other_log_probs, others, axis=1), needed_log_probs]
    token, token_met = np.concatenate([others, needed], axis=1), np.concatenate([np.zeros_like(others), met], axis=1)
    total = log_prob.reshape(-1, 1) + np.concatenate(values, axis=1)
    parent = np.tile(np.repeat(np.arange(rows), token.shape[1]), (images, 1))
    of = Continuations(parent, token.reshape(images, -1), total.reshape(images, -1))
    return of, token_met.reshape(images, -1)


def _required_tokens(constraints: Sequence[Constraints]) -> tuple[Tokens, NDArray[np.int64]]:
    """Return the tokens that meet a requirement and, as bits, those that each meets: (images, tokens), 0 to fill up."""
    bits = [
        {
            token: sum(1 << index for index, ids in enumerate(constraint.required) if token in ids)
            for ids in constraint.required
            for token in ids
            if token not in constraint.forbidden
        }
        for constraint in constraints
    ]
    shape = len(bits), max(map(len, bits))
    tokens, meets = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for image, own in enumerate(bits):
        tokens[image, : len(own)], meets[image, : len(own)] = list(own), list(own.values())
    return tokens, meets


def _masks(constraints: Sequence[Constraints], required: Tokens, vocab: int) -> LogProbs:
    """Return 0 for tokens that are neither required nor forbidden, minus infinity for the others: (images, vocab)."""
    masks = np.zeros((len(constraints), vocab), dtype=np.float32)
    np.put_along_axis(masks, required, -np.inf, axis=1)
    for image, constraint in enumerate(constraints):
        masks[image, list(constraint.forbidden)] = -np.inf
    return masks
