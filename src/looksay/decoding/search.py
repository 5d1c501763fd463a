"""Word by word to whole captions: greedy, beam and diverse beam search, and sampling, batched over images.

Search knows nothing of networks. All it sees of a model is::

    log_probs, state = step(tokens, state)
    state = state.take(rows)

A row is one caption being written. `step` reads the last word of every row and gives the log-probabilities of the
next one; `take` picks rows, in any order and any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.logits_processors import LogitsProcessor
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import State, Tokens

_BLOCK = 64  # words

S = TypeVar("S", bound=State)
Step = Callable[[Tokens, S], tuple[NDArray[np.float32], S]]
"""``step(tokens (rows,), state) -> (log_probs (rows, words), state)``."""


@dataclass(frozen=True)
class Hypothesis:
    """A finished caption.

    Attributes
    ----------
    tokens : tuple of int
        Its words, without ``<start>`` and ``<end>``.
    log_prob : float
        Natural log of the probability of these words and ``<end>``.
    score : float
        ``log_prob / (len(tokens) + 1) ** length_penalty``: what captions are ranked by.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float


def search(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    *,
    start: int,
    end: int,
    rules: Sequence[LogitsProcessor] = (),
) -> list[list[Hypothesis]]:
    """Find the best captions of each image, or draw some.

    Parameters
    ----------
    step : callable
        See this module's description.
    state : State
        The decoder's state before the first word: one row an image.
    options : DecodingOptions
        Beam, length and number of captions wanted; its rules must be in `rules`.
    start, end : int
        Ids of ``<start>`` and ``<end>``.
    rules : sequence of LogitsProcessor
        What may not be said; `looksay.decoding.logits_processors.of` makes those of the options.

    Returns
    -------
    list of list of Hypothesis
        For each image, at most ``options.num_captions`` captions, the best first.
    """
    allowed_step = obeying(step, rules, options, end)
    if options.temperature:
        return _draw(allowed_step, state, options, start, end)
    find = _greedy if options.num_beams == 1 else _beam
    return find(allowed_step, state, options, start, end)


AllowedStep = Callable[[Tokens, S, Tokens], tuple[NDArray[np.float64], S]]
"""A `Step` that also gets the words written so far, (rows, steps): what may not be said is minus infinity."""


def obeying(step: Step[S], rules: Sequence[LogitsProcessor], options: DecodingOptions, end: int) -> AllowedStep[S]:
    """Make a step obey rules, and the longest caption allowed."""

    def allowed_step(tokens: Tokens, state: S, written: Tokens) -> tuple[NDArray[np.float64], S]:
        narrow, state = step(tokens, state)
        log_probs = narrow.astype(np.float64)
        ending = log_probs[:, end].copy()
        for rule in rules:
            rule(log_probs, written)
        # A caption that has run to its limit, or may not go on, can only end.
        over = ~np.isfinite(log_probs).any(axis=1) | (written.shape[1] == options.max_length)
        log_probs[over] = -np.inf
        log_probs[over, end] = ending[over]
        return log_probs, state

    return allowed_step


def finished(tokens: Sequence[int], log_prob: float, options: DecodingOptions) -> Hypothesis:
    """Return a caption that has ended, with its score."""
    words = tuple(int(token) for token in tokens)
    return Hypothesis(words, log_prob, log_prob / (len(words) + 1) ** options.length_penalty)


def _greedy(step: AllowedStep[S], state: S, options: DecodingOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Always say the likeliest word."""
    return _walk(step, state, options, start, end, lambda log_probs, *_: log_probs.argmax(axis=1))


def _draw(step: AllowedStep[S], state: S, options: DecodingOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Draw `num_captions` captions of each image, word by word."""
    # The same luck for each image, whatever stands beside it in a batch: (captions, steps).
    luck = np.random.default_rng(options.seed).random((options.num_captions, options.max_length + 1))

    def choose(log_probs: NDArray[np.float64], rows: NDArray[np.intp], step: int) -> NDArray[np.intp]:
        likely = np.exp((log_probs - log_probs.max(axis=1, keepdims=True)) / options.temperature)
        likely /= likely.sum(axis=1, keepdims=True)
        order = np.argsort(-likely, axis=1, kind="stable")
        ranked = np.take_along_axis(likely, order, axis=1)
        before = np.cumsum(ranked, axis=1) - ranked
        ranked[before >= options.top_p] = 0
        if options.top_k:
            ranked[:, options.top_k :] = 0
        reached = np.cumsum(ranked, axis=1)
        rank = (reached < luck[rows % options.num_captions, step, None] * reached[:, -1:]).sum(axis=1)
        return np.take_along_axis(order, rank[:, None], axis=1)[:, 0]

    rows = np.repeat(np.arange(len(state)), options.num_captions)
    found = _walk(step, state.take(rows), options, start, end, choose)
    each = [found[first : first + options.num_captions] for first in range(0, len(rows), options.num_captions)]
    return [sorted((caption for (caption,) in drawn), key=lambda caption: -caption.score) for drawn in each]


def _walk(
    step: AllowedStep[S],
    state: S,
    options: DecodingOptions,
    start: int,
    end: int,
    choose: Callable[[NDArray[np.float64], NDArray[np.intp], int], NDArray[np.intp]],
) -> list[list[Hypothesis]]:
    """Write one caption a row; `choose` says the next word of each from its place among the rows and the step."""
    captions: list[list[Hypothesis]] = [[] for _ in range(len(state))]
    active = np.arange(len(captions))
    tokens = np.zeros((len(captions), 0), dtype=np.int64)
    log_prob = np.zeros(len(captions))
    last = np.full(len(captions), start, dtype=np.int64)
    while active.size:
        log_probs, state = step(last, state, tokens)
        last = choose(log_probs, active, tokens.shape[1])
        log_prob = log_prob + log_probs[np.arange(active.size), last]
        for row in np.flatnonzero(last == end):
            captions[active[row]].append(finished(tokens[row], float(log_prob[row]), options))
        rows = np.flatnonzero(last != end)
        active, last, log_prob = active[rows], last[rows], log_prob[rows]
        tokens = np.concatenate([tokens[rows], last[:, None]], axis=1)
        state = state.take(rows)
    return captions


@dataclass
class _Group(Generic[S]):
    """The beginnings of one group of the beam.

    Attributes
    ----------
    active : images that are not done
    tokens : (active, width, words so far)
    log_prob : (active, width)
    last : the last word of every row, (active * width,)
    state : of every row
    """

    active: NDArray[np.intp]
    tokens: Tokens
    log_prob: NDArray[np.float64]
    last: Tokens
    state: S


def _beam(step: AllowedStep[S], state: S, options: DecodingOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Keep the `num_beams` likeliest beginnings of each image; an image is done when `num_beams` of its captions have ended.

    A caption ends only if its ``<end>`` is among the `num_beams` likeliest continuations, so that a beam of 1 is greedy
    search. With several groups each is a beam of its own, and a word costs what earlier groups say at the same step.
    """
    images, width = len(state), options.num_beams // options.num_beam_groups
    done: list[list[list[Hypothesis]]] = [[[] for _ in range(images)] for _ in range(options.num_beam_groups)]
    groups = [
        _Group(np.arange(images), np.zeros((images, 1, 0), dtype=np.int64), np.zeros((images, 1)),
               np.full(images, start, dtype=np.int64), state)
        for _ in range(options.num_beam_groups)
    ]  # fmt: skip
    while any(group.active.size for group in groups):
        said: NDArray[np.float64] | None = None  # how often each word was said at this step, (images, words)
        for group, ended in zip(groups, done, strict=True):
            if group.active.size:
                log_probs, group.state = step(group.last, group.state, group.tokens.reshape(len(group.last), -1))
                penalty = None if said is None else options.diversity_penalty * said[group.active]
                _advance(group, log_probs, penalty, ended, width, options, end)
                if options.num_beam_groups > 1:
                    said = np.zeros((images, log_probs.shape[1])) if said is None else said
                    new = group.tokens[:, :, -1]
                    np.add.at(said, (np.repeat(group.active, new.shape[1]), new.ravel()), 1)
    found = [{caption.tokens: caption for group in done for caption in group[image]} for image in range(images)]
    return [sorted(each.values(), key=lambda caption: -caption.score)[: options.num_captions] for each in found]


def _advance(
    group: _Group[S],
    log_probs: NDArray[np.float64],
    penalty: NDArray[np.float64] | None,
    done: list[list[Hypothesis]],
    beam: int,
    options: DecodingOptions,
    end: int,
) -> None:
    """Write one more word in every row of a group."""
    images, width = group.log_prob.shape
    vocabulary = log_probs.shape[1]
    total = (group.log_prob.reshape(-1, 1) + log_probs).reshape(images, width * vocabulary)
    # At most `num_beams` of the best 2 * beam continuations end, so `num_beams` are left that go on.
    best = top(total if penalty is None else total - np.tile(penalty, width), 2 * beam)
    each = np.arange(images)[:, None]
    value = total[each, best]
    parent, word = np.divmod(best, vocabulary)

    for image, rank in np.argwhere((word[:, :beam] == end) & np.isfinite(value[:, :beam])):
        beginning = group.tokens[image, parent[image, rank]]
        done[group.active[image]].append(finished(beginning, float(value[image, rank]), options))

    # A stable sort moves endings behind what goes on, and keeps both in order of probability.
    alive = np.argsort(word == end, axis=1, kind="stable")[:, :beam]
    log_prob = np.where(word == end, -np.inf, value)[each, alive]
    parent, word = parent[each, alive], word[each, alive]
    tokens = np.concatenate([group.tokens[each, parent], word[:, :, None]], axis=2)

    going = np.array([len(done[image]) < beam for image in group.active]) & np.isfinite(log_prob[:, 0])
    rows = (each * width + parent)[going].ravel()
    group.active, group.tokens, group.log_prob = group.active[going], tokens[going], log_prob[going]
    group.last = word[going].ravel()
    group.state = group.state.take(rows)


def top(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the columns of the `count` largest values of each row, the largest first; of equal ones the first.

    They are in the `count` blocks of columns whose own largest values are the largest, so only these are sorted.
    """
    columns = values.shape[1]
    peaks = np.maximum.reduceat(values, np.arange(0, columns, _BLOCK), axis=1)
    blocks = np.sort(np.argsort(-peaks, axis=1, kind="stable")[:, :count], axis=1)
    among = (blocks[:, :, None] * _BLOCK + np.arange(_BLOCK)).reshape(len(values), -1)
    each = np.arange(len(values))[:, None]
    some = np.where(among < columns, values[each, np.minimum(among, columns - 1)], -np.inf)
    order = np.argsort(-some, axis=1, kind="stable")[:, : min(count, columns)]
    return among[each, order]
