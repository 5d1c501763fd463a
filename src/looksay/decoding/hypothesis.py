"""Finished captions, their scores and the ranking of candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.options import DecodingOptions

_BLOCK = 64  # columns


@dataclass(frozen=True)
class Hypothesis:
    """A finished caption.

    Attributes
    ----------
    tokens : tuple of int
        Token ids, without ``<start>`` and ``<end>``.
    log_prob : float
        Natural log of the probability of the tokens and ``<end>``.
    score : float
        ``log_prob / (len(tokens) + 1) ** length_penalty``, by which captions are ranked.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float


def finish(tokens: Sequence[int], log_prob: float, options: DecodingOptions) -> Hypothesis:
    """Return a caption that has ended, with its score."""
    ids = tuple(int(token) for token in tokens)
    return Hypothesis(ids, log_prob, log_prob / (len(ids) + 1) ** options.length_penalty)


def rank(hypotheses: Iterable[Hypothesis], count: int) -> list[Hypothesis]:
    """Return the `count` hypotheses of the highest scores, the best first."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:count]


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
