"""Constrained beam search: the best caption that has certain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.logits_processors import LogitsProcessor
from looksay.decoding.options import DecodingOptions
from looksay.decoding.search import Hypothesis, S, Step, finished, obeying, top


def guided(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    wanted: Sequence[Sequence[int]],
    *,
    start: int,
    end: int,
    rules: Sequence[LogitsProcessor] = (),
) -> list[Hypothesis]:
    """Find the best captions of an image that have a word of each of some sets.

    A caption being written is in one of ``2 ** len(wanted)`` states: which sets it has a word of. Each state has a beam
    of its own, so that a beginning which has said the word is not crowded out by likelier ones that have not; only in
    the last state may a caption end (Anderson et al. 2017, "Guided open vocabulary image captioning with constrained
    beam search").

    Parameters
    ----------
    step, options, start, end, rules
        As for `search`.
    state : State
        The decoder's state before the first word, of the one image.
    wanted : sequence of sequence of int
        Ids, of which one each is to be said.

    Returns
    -------
    list of Hypothesis
        At most ``options.num_captions``, the best first; none if there is no such caption.
    """
    allowed = obeying(step, rules, options, end)
    goal = 2 ** len(wanted) - 1
    last, log_prob, has = np.array([start]), np.zeros(1), np.zeros(1, dtype=int)
    tokens = np.zeros((1, 0), dtype=np.int64)
    done: list[Hypothesis] = []
    marks: NDArray[np.int_] | None = None  # of each word which sets it is in, as bits
    while last.size and len(done) < options.num_beams:
        log_probs, state = allowed(last, state, tokens)
        log_probs[has != goal, end] = -np.inf
        total = log_prob[:, None] + log_probs
        marks = _marks(wanted, total.shape[1]) if marks is None else marks
        then = has[:, None] | marks
        best = [_best(np.where(then == reached, total, -np.inf), 2 * options.num_beams) for reached in range(goal + 1)]
        ends, goes_on = [], []
        for place in best:
            row, word = np.divmod(place, total.shape[1])
            ends += [
                each for each in zip(row[: options.num_beams], word[: options.num_beams], strict=True) if each[1] == end
            ]
            goes_on.append(place[word != end][: options.num_beams])
        done += [finished(tokens[row], float(total[row, word]), options) for row, word in ends]
        row, word = np.divmod(np.concatenate(goes_on), total.shape[1])
        tokens = np.concatenate([tokens[row], word[:, None]], axis=1)
        last, log_prob, has, state = word, total[row, word], then[row, word], state.take(row)
    return sorted(done, key=lambda caption: -caption.score)[: options.num_captions]


def _marks(wanted: Sequence[Sequence[int]], vocabulary: int) -> NDArray[np.int_]:
    """Return of each word which sets it is in, as bits."""
    marks = np.zeros(vocabulary, dtype=int)
    for place, ids in enumerate(wanted):
        marks[list(ids)] |= 1 << place
    return marks


def _best(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the places of the largest values, the largest first, leaving out what cannot be."""
    flat = values.reshape(1, -1)
    places: NDArray[np.intp] = top(flat, count)[0]
    possible: NDArray[np.intp] = places[np.isfinite(flat[0, places])]
    return possible
