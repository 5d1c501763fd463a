"""What decoding and models share: a step function, a state with one row for each hypothesis, finished captions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.options import DecodingOptions

Tokens = NDArray[np.int64]
Rows = NDArray[np.intp]


class State(Protocol):
    """The state of a decoder, with one row for each hypothesis."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def take(self, rows: Rows) -> Self:
        """Return the state of these rows, in this order; a row may be taken several times."""
        ...


S = TypeVar("S", bound=State)
Step = Callable[[Tokens, S], tuple[NDArray[np.float32], S]]
"""``step(tokens (rows,), state) -> (log_probs (rows, vocab), state)``: read the last token of every row, and return
the log-probabilities of the next one."""


@dataclass(frozen=True)
class DecoderState:
    """The state of a decoder, as NumPy or torch arrays.

    The rows of an image are adjacent, and each image has the same number of them.
    """

    memory: dict[str, Any]  # features (images, ...), which do not change while captions are decoded
    memory_of: Rows  # the image of each row
    hidden: dict[str, Any]  # arrays (rows, ...) that change with every token

    @classmethod
    def begin(cls, memory: dict[str, Any], hidden: dict[str, Any]) -> Self:
        """Return a state with one row for each image."""
        return cls(memory, np.arange(len(next(iter(hidden.values())))), hidden)

    def __len__(self) -> int:
        return len(self.memory_of)

    def take(self, rows: Rows) -> Self:
        """Return the state of these rows; the memory is copied only if its images change."""
        hidden = {name: array[rows] for name, array in self.hidden.items()}
        memory, memory_of = self.memory, self.memory_of[rows]
        if np.array_equal(memory_of, self.memory_of):
            return type(self)(memory, memory_of, hidden)
        images = memory_of[np.flatnonzero(np.diff(memory_of, prepend=-1))]
        width = len(rows) // max(1, len(images))
        if not np.array_equal(memory_of, np.repeat(images, width)):  # images with different numbers of rows
            images, width = memory_of, 1
        if not np.array_equal(images, np.arange(len(next(iter(memory.values()))))):
            memory = {name: array[images] for name, array in memory.items()}
        return type(self)(memory, np.repeat(np.arange(len(images)), width), hidden)


@dataclass(frozen=True)
class Hypothesis:
    """A finished caption."""

    tokens: tuple[int, ...]  # ids, without <start> and <end>
    log_prob: float  # natural log of the probability of the tokens and <end>
    score: float  # to rank captions: log_prob / (len(tokens) + 1) ** length_penalty, or what `Rescore` gives


def finish(tokens: Sequence[int], log_prob: float, options: DecodingOptions) -> Hypothesis:
    """Return a caption that has ended, with its score."""
    ids = tuple(int(token) for token in tokens)
    return Hypothesis(ids, log_prob, log_prob / (len(ids) + 1) ** options.length_penalty)


Rescore = Callable[[int, Hypothesis], Hypothesis]
"""``rescore(image, hypothesis)`` returns a finished caption of an image of the batch with the score to rank it by."""


def keep_score(_: int, hypothesis: Hypothesis) -> Hypothesis:
    """Return a caption as it is: ranked by its probability."""
    return hypothesis


def rank(hypotheses: Iterable[Hypothesis], count: int) -> list[Hypothesis]:
    """Return the `count` hypotheses of the highest scores, the best first."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:count]
