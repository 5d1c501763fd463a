"""Word by word to whole captions: greedy and beam search, batched over images.

Search knows nothing of networks. All it sees of a model is::

    log_probs, state = step(tokens, state)
    state = state.take(rows)

A row is one caption being written. `step` reads the last word of every row and gives the log-probabilities of the
next one; `take` picks rows, in any order and any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from looksay.specs import SearchOptions

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
    memory : dict of array, shape (rows, ...)
        What the decoder looks at; it does not change while a caption is written.
    memory_of : ndarray of int, shape (rows,)
        Which picture each row of `memory` shows.
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
        """Return the state of these rows; the memory is copied only if a row now shows another picture."""
        memory, memory_of = self.memory, self.memory_of[rows]
        if not np.array_equal(memory_of, self.memory_of):
            memory = {name: array[rows] for name, array in memory.items()}
        hidden = {name: array[rows] for name, array in self.hidden.items()}
        return replace(self, memory=memory, memory_of=memory_of, hidden=hidden)


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
    forbidden: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Find the best captions of each image.

    Parameters
    ----------
    step : callable
        See this module's description.
    state : State
        The decoder's state before the first word: one row an image.
    options : SearchOptions
        Beam, length and number of captions wanted.
    start, end : int
        Ids of ``<start>`` and ``<end>``.
    forbidden : sequence of int
        Ids that are never said.

    Returns
    -------
    list of list of Hypothesis
        For each image, at most ``options.n_best`` captions, the best first.
    """
    banned = np.array([start, *forbidden])

    def allowed_step(tokens: Tokens, state: S, written: int) -> tuple[NDArray[np.float64], S]:
        narrow, state = step(tokens, state)
        log_probs = narrow.astype(np.float64)
        log_probs[:, banned] = -np.inf
        if written == options.max_words:  # a caption that has run to its limit can only end
            log_probs[:, np.arange(log_probs.shape[1]) != end] = -np.inf
        return log_probs, state

    find = _greedy if options.beam == 1 else _beam
    return find(allowed_step, state, options, start, end)


_AllowedStep = Callable[[Tokens, S, int], tuple[NDArray[np.float64], S]]


def _finish(tokens: Sequence[int], log_prob: float, options: SearchOptions) -> Hypothesis:
    words = tuple(int(token) for token in tokens)
    return Hypothesis(words, log_prob, log_prob / (len(words) + 1) ** options.length_exponent)


def _greedy(step: _AllowedStep[S], state: S, options: SearchOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Always say the likeliest word."""
    images = len(state)
    captions: list[list[Hypothesis]] = [[] for _ in range(images)]
    active = np.arange(images)
    tokens = np.zeros((images, 0), dtype=np.int64)
    log_prob = np.zeros(images)
    last = np.full(images, start, dtype=np.int64)
    while active.size:
        log_probs, state = step(last, state, tokens.shape[1])
        last = log_probs.argmax(axis=1)
        log_prob = log_prob + log_probs[np.arange(active.size), last]
        for row in np.flatnonzero(last == end):
            captions[active[row]].append(_finish(tokens[row], float(log_prob[row]), options))
        rows = np.flatnonzero(last != end)
        active, last, log_prob = active[rows], last[rows], log_prob[rows]
        tokens = np.concatenate([tokens[rows], last[:, None]], axis=1)
        state = state.take(rows)
    return captions


def _beam(step: _AllowedStep[S], state: S, options: SearchOptions, start: int, end: int) -> list[list[Hypothesis]]:
    """Keep the `beam` likeliest beginnings of each image; an image is done when `beam` of its captions have ended.

    A caption ends only if its ``<end>`` is among the `beam` likeliest continuations, so that a beam of 1 is greedy
    search.
    """
    beam, images = options.beam, len(state)
    done: list[list[Hypothesis]] = [[] for _ in range(images)]
    active = np.arange(images)
    tokens = np.zeros((images, 1, 0), dtype=np.int64)  # (active image, beam, words so far)
    log_prob = np.zeros((images, 1))
    last = np.full(images, start, dtype=np.int64)
    while active.size:
        width = log_prob.shape[1]
        log_probs, state = step(last, state, tokens.shape[2])
        vocabulary = log_probs.shape[1]
        total = (log_prob.reshape(-1, 1) + log_probs).reshape(active.size, width * vocabulary)
        # At most `beam` of the best 2 * beam continuations end, so `beam` are left that go on.
        best = _top(total, 2 * beam)
        value = np.take_along_axis(total, best, axis=1)
        parent, word = np.divmod(best, vocabulary)

        for image, rank in np.argwhere((word[:, :beam] == end) & np.isfinite(value[:, :beam])):
            beginning = tokens[image, parent[image, rank]]
            done[active[image]].append(_finish(beginning, float(value[image, rank]), options))

        # A stable sort moves endings behind what goes on, and keeps both in order of probability.
        alive = np.argsort(word == end, axis=1, kind="stable")[:, :beam]
        log_prob = np.take_along_axis(np.where(word == end, -np.inf, value), alive, axis=1)
        parent, word = (np.take_along_axis(array, alive, axis=1) for array in (parent, word))
        tokens = np.concatenate([np.take_along_axis(tokens, parent[:, :, None], axis=1), word[:, :, None]], axis=2)

        going = np.array([len(done[image]) < beam for image in active]) & np.isfinite(log_prob[:, 0])
        rows = (np.arange(active.size)[:, None] * width + parent)[going].ravel()
        active, tokens, log_prob = active[going], tokens[going], log_prob[going]
        last = word[going].ravel()
        state = state.take(rows)
    return [sorted(found, key=lambda caption: -caption.score)[: options.n_best] for found in done]


def _top(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the columns of the `count` largest values of each row, the largest first."""
    if count >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")
    some = np.argpartition(-values, count, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(values, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)
