"""Beam search and diverse beam search, batched over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.logits_processors import LogProbs, ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Hypothesis, S, Tokens, finish, rank
from looksay.text.vocabulary import Vocabulary

_BLOCK = 64  # columns


@dataclass
class _Group(Generic[S]):
    """The unfinished hypotheses of one group of beams."""

    active: NDArray[np.intp]  # images that are not finished, (active,)
    tokens: Tokens  # (active, width, steps)
    log_prob: NDArray[np.float64]  # (active, width)
    last: Tokens  # the last token of every row, (active * width,)
    state: S  # of every row
    finished: list[list[Hypothesis]]  # of each image


def beam_search(step: ProcessedStep[S], state: S, options: DecodingOptions) -> list[list[Hypothesis]]:
    """Keep the `num_beams` most probable hypotheses of each image, until `num_beams` of its captions have ended.

    A caption ends only if its ``<end>`` is among the `num_beams` most probable continuations, so that one beam is
    greedy search. With several groups, each is a beam search of its own, in which a token is penalised for each
    hypothesis of an earlier group that has it at the same step.
    """
    images, width = len(state), options.num_beams // options.num_beam_groups
    tokens, start = np.zeros((images, 1, 0), dtype=np.int64), np.full(images, Vocabulary.start)
    groups = [
        _Group(np.arange(images), tokens, np.zeros((images, 1)), start, state, [[] for _ in range(images)])
        for _ in range(options.num_beam_groups)
    ]
    while any(group.active.size for group in groups):
        counts: NDArray[np.float64] | None = None  # of each token at this step, in earlier groups: (images, vocab)
        for group in groups:
            if group.active.size:
                log_probs, group.state = step(group.last, group.state, group.tokens.reshape(len(group.last), -1))
                penalty = None if counts is None else options.diversity_penalty * counts[group.active]
                _advance(group, log_probs, penalty, width, options)
                if options.num_beam_groups > 1:
                    counts = np.zeros((images, log_probs.shape[1])) if counts is None else counts
                    new = group.tokens[:, :, -1]
                    np.add.at(counts, (np.repeat(group.active, new.shape[1]), new.ravel()), 1)
    captions = [{caption.tokens: caption for group in groups for caption in group.finished[i]} for i in range(images)]
    return [rank(distinct.values(), options.num_captions) for distinct in captions]


def _advance(
    group: _Group[S], log_probs: LogProbs, penalty: NDArray[np.float64] | None, width: int, options: DecodingOptions
) -> None:
    """Add one token to every row of a group."""
    images, rows_per_image = group.log_prob.shape
    total = (group.log_prob.reshape(-1, 1) + log_probs).reshape(images, -1)
    order = total if penalty is None else total - np.tile(penalty, rows_per_image)
    best = best_continuations(total, order, log_probs.shape[1], width)
    for row, parent, log_prob in best.ended:
        group.finished[group.active[row]].append(finish(group.tokens[row, parent], log_prob, options))
    image = np.arange(images)[:, None]
    tokens = np.concatenate([group.tokens[image, best.parent], best.token[:, :, None]], axis=2)

    is_active = np.array([len(group.finished[i]) < width for i in group.active]) & np.isfinite(best.log_prob[:, 0])
    rows = (image * rows_per_image + best.parent)[is_active].ravel()
    group.active, group.tokens, group.log_prob = group.active[is_active], tokens[is_active], best.log_prob[is_active]
    group.last = best.token[is_active].ravel()
    group.state = group.state.take(rows)


class Continuations(NamedTuple):
    """The best continuations of the hypotheses of each image by one token, the best first."""

    ended: list[tuple[int, int, float]]  # image, row and log-probability of those that end
    parent: NDArray[np.intp]  # the row that each of the others continues, (images, width)
    token: Tokens  # (images, width)
    log_prob: NDArray[np.float64]  # (images, width); minus infinity where there are fewer than `width`


def best_continuations(total: NDArray[np.float64], order: NDArray[np.float64], vocab: int, width: int) -> Continuations:
    """Return the `width` best continuations of each image, and those that end and are among the `width` best of all.

    `total` (images, rows * vocab) are log-probabilities of captions; `order` are the values to choose by.
    """
    # At most `width` of the best 2 * width continuations end, so `width` others are left.
    best = top_columns(order, 2 * width)
    image = np.arange(len(total))[:, None]
    value = total[image, best]
    parent, token = np.divmod(best, vocab)
    is_end = token == Vocabulary.end
    places = np.argwhere(is_end[:, :width] & np.isfinite(value[:, :width]))
    ended = [(int(row), int(parent[row, place]), float(value[row, place])) for row, place in places]
    # A stable sort moves endings behind continuations, and keeps both in order of probability.
    kept = np.argsort(is_end, axis=1, kind="stable")[:, :width]
    return Continuations(ended, parent[image, kept], token[image, kept], np.where(is_end, -np.inf, value)[image, kept])


def top_columns(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the columns of the `count` largest values of each row, the largest first; of equal ones the first.

    They are in the `count` blocks of columns with the largest maxima, so only these are sorted.
    """
    columns = values.shape[1]
    maxima = np.maximum.reduceat(values, np.arange(0, columns, _BLOCK), axis=1)
    blocks = np.sort(np.argsort(-maxima, axis=1, kind="stable")[:, :count], axis=1)
    candidates = (blocks[:, :, None] * _BLOCK + np.arange(_BLOCK)).reshape(len(values), -1)
    rows = np.arange(len(values))[:, None]
    candidate_values = np.where(candidates < columns, values[rows, np.minimum(candidates, columns - 1)], -np.inf)
    order = np.argsort(-candidate_values, axis=1, kind="stable")[:, : min(count, columns)]
    return candidates[rows, order]
