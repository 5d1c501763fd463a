"""Histograms as SVG, drawn in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

_WIDTH, _HEIGHT, _HEAD, _FOOT = 320, 130, 14, 20
_BINS = 20


def histogram(title: str, values: Sequence[float], high: float) -> str:
    """Draw how many values lie where from 0 to `high`, with their mean as a line."""
    edges = np.linspace(0, high, _BINS + 1)
    names = [f"{low:g} to {up:g}" for low, up in pairwise(edges.tolist())]
    return _draw(title, _shares(values, edges), names, float(np.mean(values)), 0, high, ("0", f"{high:g}"))


def counts(title: str, values: Sequence[int], others: Sequence[int], most: int) -> str:
    """Draw how often each whole number occurs, with others' as an outline; `most` and above share a bar."""
    high = min(most, max(*values, *others))
    edges = np.arange(high + 2) - 0.5
    names = [f"{number}{'+' if number == most else ''}" for number in range(high + 1)]
    own, outline = (_shares(np.minimum(each, high), edges) for each in (values, others))
    return _draw(title, own, names, float(np.mean(values)), -0.5, high + 0.5, (names[0], names[-1]), outline)


def _shares(values: Sequence[float] | np.ndarray, edges: np.ndarray) -> list[float]:
    found, _ = np.histogram(values, edges)
    shares: list[float] = (found / len(values)).tolist()
    return shares


def _draw(
    title: str,
    shares: Sequence[float],
    names: Sequence[str],
    mean: float,
    low: float,
    high: float,
    ends: tuple[str, str],
    outline: Sequence[float] = (),
) -> str:
    top, step = max(*shares, *outline, 1e-9), _WIDTH / len(shares)
    bars = "".join(
        f'<rect x="{n * step + 0.5:.1f}" y="{_HEIGHT * (1 - share / top):.1f}" width="{step - 1:.1f}" '
        f'height="{_HEIGHT * share / top:.1f}"><title>{name}: {100 * share:.1f} %</title></rect>'
        for n, (share, name) in enumerate(zip(shares, names, strict=True))
    )
    corners = " ".join(
        f"{x * step:.1f},{_HEIGHT * (1 - share / top):.1f}" for n, share in enumerate(outline) for x in (n, n + 1)
    )
    line = f'<polyline points="{corners}"/>' if corners else ""
    at = _WIDTH * min(1.0, (mean - low) / (high - low))
    anchor = "end" if at > _WIDTH * 0.7 else "start"
    return (
        f'<figure class="chart"><svg viewBox="0 {-_HEAD} {_WIDTH} {_HEAD + _HEIGHT + _FOOT}" role="img" '
        f'aria-label="{title}, mean {mean:.1f}">{bars}{line}'
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="-2" y2="{_HEIGHT}"/>'
        f'<text x="{at:.1f}" y="-4" text-anchor="{anchor}">mean {mean:.1f}</text>'
        f'<text x="0" y="{_HEIGHT + 16}">{ends[0]}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" text-anchor="end">{ends[1]}</text></svg>'
        f"<figcaption>{title}</figcaption></figure>"
    )
