"""Word by word to whole captions: greedy, beam and diverse beam search, and sampling, batched over images.

Search knows nothing of networks. All it sees of a model is::

    log_probs, state = step(tokens, state)
    state = state.take(rows)

A row is one caption being written. `step` reads the last word of every row and gives the log-probabilities of the
next one; `take` picks rows, in any order and any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from looksay.rules import Rule
from looksay.specs import SearchOptions

_BLOCK = 64  # words

Tokens = NDArray[np.int64]
Rows = NDArray[np.intp]


class State(Protocol):
    """What a decoder remembers of every row."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def take(self, rows: Rows) -> Self:
        """Return the state of these rows, in this order."""
        ...


@dataclass(frozen=True)
class DecoderState:
    """The state of a decoder, as arrays (numpy's or torch's) with one row a caption.

    Attributes
    ----------
    memory : dict of array, shape (pictures, ...)
        What the decoder looks at; it does not change while a caption is written.
    memory_of : ndarray of int, shape (rows,)
        Which picture each row looks at: the rows of a picture stand together, the same number for each.
    hidden : dict of array, shape (rows, ...)
        What changes with every word.
    """

    memory: dict[str, Any]
    memory_of: Rows
    hidden: dict[str, Any]

    @classmethod
    def begin(cls, memory: dict[str, Any], hidden: dict[str, Any]) -> Self:
        """Start with one row a picture."""
        return cls(memory, np.arange(len(next(iter(hidden.values())))), hidden)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.memory_of)

    def take(self, rows: Rows) -> Self:
        """Return the state of these rows; the memory is copied only if there are other pictures now."""
        hidden = {name: array[rows] for name, array in self.hidden.items()}
        memory, memory_of = self.memory, self.memory_of[rows]
        if np.array_equal(memory_of, self.memory_of):
            return replace(self, hidden=hidden)
        pictures = memory_of[np.flatnonzero(np.diff(memory_of, prepend=-1))]
        each = len(rows) // max(1, len(pictures))
        if not np.array_equal(memory_of, np.repeat(pictures, each)):  # not so many rows for each: a picture for each
            pictures, each = memory_of, 1
        if not np.array_equal(pictures, np.arange(len(next(iter(memory.values()))))):
            memory = {name: array[pictures] for name, array in memory.items()}
        return replace(self, memory=memory, memory_of=np.repeat(np.arange(len(pictures)), each), hidden=hidden)


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
        ``log_prob / (len(tokens) + 1) ** length_exponent``: what captions are ranked by.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float


def search(
    step: Step[S],
    state: S,
    options: SearchOptions,
    *,
    start: int,
    end: int,
    rules: Sequence[Rule] = (),
) -> list[list[Hypothesis]]:
    """Find the best captions of each image, or draw some.

    Parameters
    ----------
    step : callable
        See this module's description.
    state : State
        The decoder's state before the first word: one row an image.
    options : SearchOptions
        Beam, length and number of captions wanted; its rules must be in `rules`.
    start, end : int
        Ids of ``<start>`` and ``<end>``.
    rules : sequence of Rule
        What may not be said; `looksay.rules.of` makes those of the options.

    Returns
    -------
    list of list of Hypothesis
        For each image, at most ``options.n_best`` captions, the best first.
    """
    allowed_step = obeying(step, rules, options, end)
    if options.temperature:
        return _draw(allowed_step, state, options, start, end)
    find = _greedy if options.beam == 1 else _beam
    return find(allowed_step, state, options, start, end)


AllowedStep = Callable[[Tokens, S, Tokens], tuple[NDArray[np.float64], S]]
"""A `Step` that also gets the words written so far, (rows, steps): what may not be said is minus infinity."""


def obeying(step: Step[S], rules: Sequence[Rule], options: SearchOptions, end: int) -> AllowedStep[S]:
    """Make a step obey rules, and the longest caption allowed."""

    def allowed_step(tokens: Tokens, state: S, written: Tokens) -> tuple[NDArray[np.float64], S]:
        narrow, state = step(tokens, state)
        log_probs = narrow.astype(np.float64)
        ending = log_probs[:, end].copy()
        for rule in rules:
            rule(log_probs, written)
        # A caption that has run to its limit, or may not go on, can only end.
        over = ~np.isfinite(log_probs).any(axis=1) | (written.shape[1] == options.max_words)
        log_probs[over] = -np.inf
        log_probs[over, end] = ending[over]
        return log_probs, state

    return allowed_step


def finished(tokens: Sequence[int], log_prob: float, options: SearchOptions) -> Hypothesis:
    """Return a caption that has ended, with its score."""
    words = tuple(int(token) for token in tokens)
    return Hypothesis(words, log_prob, log_prob / (len(words) + 1) ** options.length_exponent)


def _greedy(step: AllowedStep[S], state: S, options: SearchOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Always say the likeliest word."""
    return _walk(step, state, options, start, end, lambda log_probs, *_: log_probs.argmax(axis=1))


def _draw(step: AllowedStep[S], state: S, options: SearchOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Draw `n_best` captions of each image, word by word."""
    # The same luck for each picture, whatever stands beside it in a batch: (captions, steps).
    luck = np.random.default_rng(options.seed).random((options.n_best, options.max_words + 1))

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
        rank = (reached < luck[rows % options.n_best, step, None] * reached[:, -1:]).sum(axis=1)
        return np.take_along_axis(order, rank[:, None], axis=1)[:, 0]

    rows = np.repeat(np.arange(len(state)), options.n_best)
    found = _walk(step, state.take(rows), options, start, end, choose)
    each = [found[first : first + options.n_best] for first in range(0, len(rows), options.n_best)]
    return [sorted((caption for (caption,) in drawn), key=lambda caption: -caption.score) for drawn in each]


def _walk(
    step: AllowedStep[S],
    state: S,
    options: SearchOptions,
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


def _beam(step: AllowedStep[S], state: S, options: SearchOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Keep the `beam` likeliest beginnings of each image; an image is done when `beam` of its captions have ended.

    A caption ends only if its ``<end>`` is among the `beam` likeliest continuations, so that a beam of 1 is greedy
    search. With several groups each is a beam of its own, and a word costs what earlier groups say at the same step.
    """
    images, width = len(state), options.beam // options.groups
    done: list[list[list[Hypothesis]]] = [[[] for _ in range(images)] for _ in range(options.groups)]
    groups = [
        _Group(np.arange(images), np.zeros((images, 1, 0), dtype=np.int64), np.zeros((images, 1)),
               np.full(images, start, dtype=np.int64), state)
        for _ in range(options.groups)
    ]  # fmt: skip
    while any(group.active.size for group in groups):
        said: NDArray[np.float64] | None = None  # how often each word was said at this step, (images, words)
        for group, ended in zip(groups, done, strict=True):
            if group.active.size:
                log_probs, group.state = step(group.last, group.state, group.tokens.reshape(len(group.last), -1))
                penalty = None if said is None else options.diversity * said[group.active]
                _advance(group, log_probs, penalty, ended, width, options, end)
                if options.groups > 1:
                    said = np.zeros((images, log_probs.shape[1])) if said is None else said
                    new = group.tokens[:, :, -1]
                    np.add.at(said, (np.repeat(group.active, new.shape[1]), new.ravel()), 1)
    found = [{caption.tokens: caption for group in done for caption in group[image]} for image in range(images)]
    return [sorted(each.values(), key=lambda caption: -caption.score)[: options.n_best] for each in found]


def _advance(
    group: _Group[S],
    log_probs: NDArray[np.float64],
    penalty: NDArray[np.float64] | None,
    done: list[list[Hypothesis]],
    beam: int,
    options: SearchOptions,
    end: int,
) -> None:
    """Write one more word in every row of a group."""
    images, width = group.log_prob.shape
    vocabulary = log_probs.shape[1]
    total = (group.log_prob.reshape(-1, 1) + log_probs).reshape(images, width * vocabulary)
    # At most `beam` of the best 2 * beam continuations end, so `beam` are left that go on.
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
