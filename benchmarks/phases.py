"""Draw how the val scores rose over the phases of a run: ``python benchmarks/phases.py FILE.png RUN RUN …``.

Each RUN is the folder of a phase, in the order in which they followed one another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from looksay.training import checkpoint

LINES = {"val_CIDEr-D": "CIDEr-D", "val_BLEU-4": "BLEU-4"}


def draw(runs: list[Path], file: Path) -> None:
    """Draw the scores by epoch, all phases on one axis."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    ended = 0
    for run in runs:
        rows = checkpoint.read(run)
        epochs = [ended + place for place in range(1, len(rows) + 1)]
        for place, (key, label) in enumerate(LINES.items()):
            scores = [100 * row[key] for row in rows]
            axes.plot(epochs, scores, f"C{place}", marker="o", markersize=4, label=None if ended else label)
            best = max(range(len(rows)), key=lambda row: (rows[row]["val_CIDEr-D"], row))
            axes.annotate(
                f"{scores[best]:.1f}", (epochs[best], scores[best]), (0, 7), textcoords="offset points", ha="center"
            )
        middle = ended + (1 + len(rows)) / 2
        axes.text(middle, 1.01, run.name, transform=axes.get_xaxis_transform(), ha="center", va="bottom")
        ended += len(rows)
        axes.axvline(ended + 0.5, color="grey", linewidth=0.8)
    axes.set(xlabel="epoch, from one phase to the next", ylabel="val score, captions decoded with beam 3")
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    FigureCanvasAgg(figure).print_figure(file, dpi=110, format="png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    draw([run for run in arguments.runs if checkpoint.read(run)], arguments.file)
