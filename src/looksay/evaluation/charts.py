"""Histograms as SVG, drawn in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_WIDTH, _HEIGHT, _FOOT = 320, 130, 34


def histogram(
    title: str, values: Sequence[float], bins: int, low: float, high: float, compare: Sequence[float] = ()
) -> str:
    """Draw how many values lie where, with the mean as a line.

    Parameters
    ----------
    title : str
    values : sequence of float
    bins : int
    low, high : float
        The ends of the axis; values beyond are counted in the last bar.
    compare : sequence of float
        Drawn as an outline, scaled to the same area.
    """
    counts = _share(values, bins, low, high)
    others = _share(compare, bins, low, high) if len(compare) else np.zeros(bins)
    top = max(counts.max(), others.max(), 1e-9)
    step = _WIDTH / bins
    bars = "".join(
        f'<rect x="{n * step + 0.5:.1f}" y="{_HEIGHT * (1 - share / top):.1f}" width="{step - 1:.1f}" '
        f'height="{_HEIGHT * share / top:.1f}"><title>{low + n * (high - low) / bins:.3g} to '
        f"{low + (n + 1) * (high - low) / bins:.3g}: {100 * share:.1f} %</title></rect>"
        for n, share in enumerate(counts)
    )
    outline = " ".join(
        f"{x * step:.1f},{_HEIGHT * (1 - share / top):.1f}" for n, share in enumerate(others) for x in (n, n + 1)
    )
    line = f'<polyline points="{outline}"/>' if len(compare) else ""
    mean = float(np.mean(values))
    at = _WIDTH * min(1.0, max(0.0, (mean - low) / (high - low)))
    anchor = "end" if at > _WIDTH * 0.7 else "start"
    return (
        f'<figure class="chart"><svg viewBox="0 -14 {_WIDTH} {_HEIGHT + _FOOT}" role="img" '
        f'aria-label="{title}, mean {mean:.2f}">'
        f'{bars}{line}<line x1="{at:.1f}" x2="{at:.1f}" y1="-2" y2="{_HEIGHT}"/>'
        f'<text x="{at:.1f}" y="-4" text-anchor="{anchor}">mean {mean:.2f}</text>'
        f'<text x="0" y="{_HEIGHT + 16}">{low:g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" text-anchor="end">{high:g}</text></svg>'
        f"<figcaption>{title}</figcaption></figure>"
    )


def _share(values: Sequence[float], bins: int, low: float, high: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    counts, _ = np.histogram(np.clip(values, low, high), bins, (low, high))
    return counts / len(values)
