"""Histograms for a report, drawn as SVG by ``templates/chart.svg``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 130
_BINS = 20


@dataclass(frozen=True)
class Chart:
    """A histogram."""

    title: str
    mean: float
    mean_x: float  # position of the mean, 0 to `WIDTH`
    bars: list[tuple[str, float, float, float, float, float]]  # label, share in percent, x, y, width and height
    outline: list[tuple[float, float]]  # corners of a second histogram, drawn as a line
    ends: tuple[str, str]  # labels of the axis


def score_histogram(title: str, values: Sequence[float], high: float) -> Chart:
    """Return the histogram of values from 0 to `high`."""
    edges = np.linspace(0, high, _BINS + 1)
    labels = [f"{lower:g} to {upper:g}" for lower, upper in pairwise(edges.tolist())]
    return _chart(title, values, edges, labels, ("0", f"{high:g}"))


def count_histogram(title: str, values: Sequence[int], human_values: Sequence[int], limit: int) -> Chart:
    """Return the histogram of whole numbers with a second one as its outline; the last bar is `limit` and above."""
    high = min(limit, max(*values, *human_values))
    edges = np.arange(high + 2) - 0.5
    labels = [f"{number}{'+' if number == limit else ''}" for number in range(high + 1)]
    outline = _shares(np.minimum(human_values, high), edges)
    return _chart(title, values, edges, labels, (labels[0], labels[-1]), outline)


def _shares(values: Sequence[float] | NDArray[np.int64], edges: NDArray[np.floating[Any]]) -> list[float]:
    counts, _ = np.histogram(values, edges)
    shares: list[float] = (counts / len(values)).tolist()
    return shares


def _chart(
    title: str,
    values: Sequence[float],
    edges: NDArray[np.floating[Any]],
    labels: Sequence[str],
    ends: tuple[str, str],
    outline: Sequence[float] = (),
) -> Chart:
    low, high = float(edges[0]), float(edges[-1])
    shares = _shares(np.clip(values, low, high), edges)
    step, scale = WIDTH / len(shares), HEIGHT / max(*shares, *outline, 1e-9)
    bars = [
        (label, 100 * share, index * step + 0.5, HEIGHT - scale * share, step - 1, scale * share)
        for index, (share, label) in enumerate(zip(shares, labels, strict=True))
    ]
    corners = [(x * step, HEIGHT - scale * share) for index, share in enumerate(outline) for x in (index, index + 1)]
    mean = float(np.mean(values))
    return Chart(title, mean, WIDTH * min(1.0, (mean - low) / (high - low)), bars, corners, ends)
