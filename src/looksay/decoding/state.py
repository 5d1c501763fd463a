"""What decoding asks of a model: a state with one row for each caption being written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

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
    memory : dict of array, shape (images, ...)
        What the decoder looks at; it does not change while a caption is written.
    memory_of : ndarray of int, shape (rows,)
        Which image each row looks at: the rows of an image stand together, the same number for each.
    hidden : dict of array, shape (rows, ...)
        What changes with every word.
    """

    memory: dict[str, Any]
    memory_of: Rows
    hidden: dict[str, Any]

    @classmethod
    def begin(cls, memory: dict[str, Any], hidden: dict[str, Any]) -> Self:
        """Start with one row an image."""
        return cls(memory, np.arange(len(next(iter(hidden.values())))), hidden)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.memory_of)

    def take(self, rows: Rows) -> Self:
        """Return the state of these rows; the memory is copied only if there are other images now."""
        hidden = {name: array[rows] for name, array in self.hidden.items()}
        memory, memory_of = self.memory, self.memory_of[rows]
        if np.array_equal(memory_of, self.memory_of):
            return replace(self, hidden=hidden)
        images = memory_of[np.flatnonzero(np.diff(memory_of, prepend=-1))]
        each = len(rows) // max(1, len(images))
        if not np.array_equal(memory_of, np.repeat(images, each)):  # not so many rows for each: an image for each
            images, each = memory_of, 1
        if not np.array_equal(images, np.arange(len(next(iter(memory.values()))))):
            memory = {name: array[images] for name, array in memory.items()}
        return replace(self, memory=memory, memory_of=np.repeat(np.arange(len(images)), each), hidden=hidden)
