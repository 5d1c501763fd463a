"""Curves of a run, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_PANELS = (
    ("loss of a word", 1, {"train_loss": "train", "val_loss": "val"}),
    ("word accuracy (%)", 100, {"train_word_accuracy": "train", "val_word_accuracy": "val"}),
    ("val captions, decoded", 100, {"val_CIDEr-D": "CIDEr-D", "val_BLEU-4": "BLEU-4"}),
)


def curves(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw loss, word accuracy and decoded scores by epoch, as PNG.

    Parameters
    ----------
    rows : sequence of dict
        A run's metrics, one row an epoch.
    file : Path
    """
    figure = Figure(figsize=(13, 4), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, (title, scale, lines) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for name, label in lines.items():
            axes.plot(epochs, [scale * row[name] for row in rows], marker="o", markersize=3, label=label)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    best = max(rows, key=lambda row: (row["val_CIDEr-D"], row["epoch"]))
    axes.annotate(
        f"{100 * best['val_CIDEr-D']:.1f}",
        (best["epoch"], 100 * best["val_CIDEr-D"]),
        textcoords="offset points",
        xytext=(0, 6),
        ha="center",
    )
    axes.margins(y=0.12)
    FigureCanvasAgg(figure).print_figure(file, dpi=110, format="png")
