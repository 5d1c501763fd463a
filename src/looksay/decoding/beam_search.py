"""Beam search and diverse beam search, batched over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.hypothesis import Hypothesis, finish, rank, top_columns
from looksay.decoding.logits_processors import LogProbs, ProcessedStep
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import S, Tokens


@dataclass
class _Group(Generic[S]):
    """The unfinished hypotheses of one group of beams.

    Attributes
    ----------
    active : images that are not finished, (active,)
    tokens : (active, width, steps)
    log_prob : (active, width)
    last : the last token of every row, (active * width,)
    state : of every row
    finished : the finished hypotheses of each image
    """

    active: NDArray[np.intp]
    tokens: Tokens
    log_prob: NDArray[np.float64]
    last: Tokens
    state: S
    finished: list[list[Hypothesis]]


def beam_search(
    step: ProcessedStep[S], state: S, options: DecodingOptions, *, start: int, end: int
) -> list[list[Hypothesis]]:
    """Keep the `num_beams` most probable hypotheses of each image, until `num_beams` of its captions have ended.

    A caption ends only if its ``<end>`` is among the `num_beams` most probable continuations, so that one beam is
    greedy search. With several groups, each is a beam search of its own, in which a token is penalised for each
    hypothesis of an earlier group that has it at the same step.
    """
    images, width = len(state), options.num_beams // options.num_beam_groups
    groups = [
        _Group(np.arange(images), np.zeros((images, 1, 0), dtype=np.int64), np.zeros((images, 1)),
               np.full(images, start, dtype=np.int64), state, [[] for _ in range(images)])
        for _ in range(options.num_beam_groups)
    ]  # fmt: skip
    while any(group.active.size for group in groups):
        counts: NDArray[np.float64] | None = None  # of each token at this step, in earlier groups: (images, vocab)
        for group in groups:
            if group.active.size:
                log_probs, group.state = step(group.last, group.state, group.tokens.reshape(len(group.last), -1))
                penalty = None if counts is None else options.diversity_penalty * counts[group.active]
                _advance(group, log_probs, penalty, width, options, end)
                if options.num_beam_groups > 1:
                    counts = np.zeros((images, log_probs.shape[1])) if counts is None else counts
                    new = group.tokens[:, :, -1]
                    np.add.at(counts, (np.repeat(group.active, new.shape[1]), new.ravel()), 1)
    captions = [{caption.tokens: caption for group in groups for caption in group.finished[i]} for i in range(images)]
    return [rank(distinct.values(), options.num_captions) for distinct in captions]


def _advance(
    group: _Group[S],
    log_probs: LogProbs,
    penalty: NDArray[np.float64] | None,
    width: int,
    options: DecodingOptions,
    end: int,
) -> None:
    """Add one token to every row of a group."""
    images, rows_per_image = group.log_prob.shape
    vocab = log_probs.shape[1]
    total = (group.log_prob.reshape(-1, 1) + log_probs).reshape(images, rows_per_image * vocab)
    # At most `width` of the best 2 * width continuations end, so `width` others are left.
    best = top_columns(total if penalty is None else total - np.tile(penalty, rows_per_image), 2 * width)
    image = np.arange(images)[:, None]
    value = total[image, best]
    parent, token = np.divmod(best, vocab)

    for row, place in np.argwhere((token[:, :width] == end) & np.isfinite(value[:, :width])):
        tokens = group.tokens[row, parent[row, place]]
        group.finished[group.active[row]].append(finish(tokens, float(value[row, place]), options))

    # A stable sort moves endings behind continuations, and keeps both in order of probability.
    kept = np.argsort(token == end, axis=1, kind="stable")[:, :width]
    log_prob = np.where(token == end, -np.inf, value)[image, kept]
    parent, token = parent[image, kept], token[image, kept]
    tokens = np.concatenate([group.tokens[image, parent], token[:, :, None]], axis=2)

    is_active = np.array([len(group.finished[i]) < width for i in group.active]) & np.isfinite(log_prob[:, 0])
    rows = (image * rows_per_image + parent)[is_active].ravel()
    group.active, group.tokens, group.log_prob = group.active[is_active], tokens[is_active], log_prob[is_active]
    group.last = token[is_active].ravel()
    group.state = group.state.take(rows)
