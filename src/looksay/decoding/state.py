"""The interface between decoding and models: a step function, and a state with one row for each hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

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

    Attributes
    ----------
    memory : dict of array, shape (images, ...)
        Features of the images; they do not change while captions are decoded.
    memory_of : ndarray of int, shape (rows,)
        The image of each row. The rows of an image are adjacent, and each image has the same number of them.
    hidden : dict of array, shape (rows, ...)
        Arrays that change with every token.
    """

    memory: dict[str, Any]
    memory_of: Rows
    hidden: dict[str, Any]

    @classmethod
    def begin(cls, memory: dict[str, Any], hidden: dict[str, Any]) -> Self:
        """Return a state with one row for each image."""
        return cls(memory, np.arange(len(next(iter(hidden.values())))), hidden)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.memory_of)

    def take(self, rows: Rows) -> Self:
        """Return the state of these rows; the memory is copied only if its images change."""
        hidden = {name: array[rows] for name, array in self.hidden.items()}
        memory, memory_of = self.memory, self.memory_of[rows]
        if np.array_equal(memory_of, self.memory_of):
            return replace(self, hidden=hidden)
        images = memory_of[np.flatnonzero(np.diff(memory_of, prepend=-1))]
        width = len(rows) // max(1, len(images))
        if not np.array_equal(memory_of, np.repeat(images, width)):  # images with different numbers of rows
            images, width = memory_of, 1
        if not np.array_equal(images, np.arange(len(next(iter(memory.values()))))):
            memory = {name: array[images] for name, array in memory.items()}
        return replace(self, memory=memory, memory_of=np.repeat(np.arange(len(images)), width), hidden=hidden)
