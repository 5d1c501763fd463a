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

_BLOCK = 48  # columns


@dataclass
class _Group(Generic[S]):
    """The unfinished hypotheses of one group of beams."""

    active: NDArray[np.intp]  # images that are not finished, (active,)
    tokens: Tokens  # (active, width, steps)
    log_prob: NDArray[np.float64]  # (active, width)
    state: S  # of every row
    finished: list[list[Hypothesis]]  # of each image


def beam_search(step: ProcessedStep[S], state: S, options: DecodingOptions) -> list[list[Hypothesis]]:
    """Keep the `num_beams` most probable hypotheses of each image, until `num_beams` of its captions have ended.

    A caption ends only if its ``<end>`` is among the `num_beams` most probable continuations, so that one beam is
    greedy search. With several groups, each is a beam search of its own, in which a token is penalised for each
    hypothesis of an earlier group that has it at the same step.
    """
    images, width = len(state), options.num_beams // options.num_beam_groups
    tokens = np.zeros((images, 1, 0), dtype=np.int64)
    groups = [
        _Group(np.arange(images), tokens, np.zeros((images, 1)), state, [[] for _ in range(images)])
        for _ in range(options.num_beam_groups)
    ]
    while any(group.active.size for group in groups):
        counts: NDArray[np.float64] | None = None  # of each token at this step, in earlier groups: (images, vocab)
        for group in groups:
            if group.active.size:
                log_probs, group.state = step(group.tokens.reshape(len(group.state), -1), group.state)
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
    image = np.arange(images)[:, None]
    totals = (group.log_prob.reshape(-1, 1) + log_probs).reshape(images, rows_per_image, -1)
    order = totals if penalty is None else totals - penalty[:, None]
    columns = top_columns(order.reshape(images, -1), 2 * width)
    parents, tokens = np.divmod(columns, totals.shape[2])
    ended, best = split(Continuations(parents, tokens, totals[image, parents, tokens]), width)
    for row, parent, log_prob in ended:
        group.finished[group.active[row]].append(finish(group.tokens[row, parent], log_prob, options))
    tokens = np.concatenate([group.tokens[image, best.parent], best.token[:, :, None]], axis=2)

    is_active = np.array([len(group.finished[i]) < width for i in group.active]) & np.isfinite(best.log_prob[:, 0])
    rows = (image * rows_per_image + best.parent)[is_active].ravel()
    group.active, group.tokens, group.log_prob = group.active[is_active], tokens[is_active], best.log_prob[is_active]
    group.state = group.state.take(rows)


class Continuations(NamedTuple):
    """Continuations of the hypotheses of each image by one token, all (images, continuations)."""

    parent: NDArray[np.intp]  # the row of the image that is continued
    token: Tokens
    log_prob: NDArray[np.float64]  # of the whole hypothesis; minus infinity for none

    def at(self, columns: NDArray[np.intp]) -> Continuations:
        """Return the continuations of each image in these columns, (images, columns)."""
        image = np.arange(len(columns))[:, None]
        return Continuations(self.parent[image, columns], self.token[image, columns], self.log_prob[image, columns])


def split(best: Continuations, width: int) -> tuple[list[tuple[int, int, float]], Continuations]:
    """Return those that end among the `width` best continuations of each image, and the `width` best that do not end.

    `best` are the ``2 * width`` best ones, the best first: at most `width` of them end. Of those that end, the image,
    the row and the log-probability are returned.
    """
    is_end = best.token == Vocabulary.end
    places = np.argwhere(is_end[:, :width] & np.isfinite(best.log_prob[:, :width]))
    ended = [(int(row), int(best.parent[row, place]), float(best.log_prob[row, place])) for row, place in places]
    # A stable sort moves endings behind continuations, and keeps both in order of probability.
    others = best._replace(log_prob=np.where(is_end, -np.inf, best.log_prob))
    return ended, others.at(np.argsort(is_end, axis=1, kind="stable")[:, :width])


def top_columns(values: NDArray[np.floating], count: int) -> NDArray[np.intp]:
    """Return the columns of the `count` largest values of each row, the largest first; which of equal ones is open.

    They are in the `count` blocks of columns with the largest maxima, so only these are sorted. A block has every n-th
    column: numpy finds the maxima of all blocks at once, with vector instructions.
    """
    rows, columns = values.shape
    blocks = columns // _BLOCK
    in_blocks = blocks * _BLOCK
    maxima = values[:, :in_blocks].reshape(rows, _BLOCK, blocks).max(axis=1)
    best = np.argsort(-maxima, axis=1, kind="stable")[:, :count]  # argpartition failed on an emulated AVX2 CPU
    candidates = (best[:, None, :] + np.arange(0, in_blocks, max(1, blocks))[:, None]).reshape(rows, -1)
    rest = np.arange(in_blocks, columns)[None]
    candidates = np.concatenate([candidates, np.broadcast_to(rest, (rows, rest.shape[1]))], axis=1)
    row = np.arange(rows)[:, None]
    order = np.argsort(-values[row, candidates], axis=1, kind="stable")[:, :count]
    return candidates[row, order]
