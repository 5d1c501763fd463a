"""Plots of a run's metrics, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

NOTE = "Dropout and label smoothing count in training only, so validation loss can lie below training loss."

_PANELS = (
    ("loss per word", 1, {"train_loss": "train", "val_loss": "val"}),
    ("word accuracy (%)", 100, {"train_word_accuracy": "train", "val_word_accuracy": "val"}),
    ("decoded val captions", 100, {"val_CIDEr-D": "CIDEr-D", "val_BLEU-4": "BLEU-4"}),
)


def curves(rows: Sequence[dict[str, Any]], lengths: Mapping[str, Sequence[int]], file: Path) -> None:
    """Plot loss, word accuracy and scores of decoded captions by epoch, and the lengths of captions, as PNG.

    `rows` are the metrics of the run, one row an epoch; `lengths` the words in each val caption, by series: the
    references and the model.
    """
    figure = Figure(figsize=(12, 8), layout="constrained")
    *panels, last = figure.subplots(2, 2).flat
    epochs = [row["epoch"] for row in rows]
    for axes, (title, scale, lines) in zip(panels, _PANELS, strict=True):
        for name, label in lines.items():
            axes.plot(epochs, [scale * row.get(name, np.nan) for row in rows], marker="o", markersize=3, label=label)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    best = max(rows, key=lambda row: (row["val_CIDEr-D"], row["epoch"]))
    score = 100 * best["val_CIDEr-D"]
    axes.annotate(f"{score:.1f}", (best["epoch"], score), textcoords="offset points", xytext=(0, 6), ha="center")
    axes.margins(y=0.12)
    longest = max(max(words, default=0) for words in lengths.values())
    for name, words in lengths.items():
        counts = np.bincount(words, minlength=longest + 1)
        last.stairs(100 * counts / max(1, len(words)), np.arange(longest + 2) - 0.5, fill=True, alpha=0.5, label=name)
    last.set(title="lengths of val captions (%)", xlabel="words")
    last.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (*panels, last):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.supxlabel(NOTE, fontsize="small")
    FigureCanvasAgg(figure).print_figure(file, dpi=110, format="png")
