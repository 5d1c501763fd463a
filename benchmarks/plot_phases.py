"""Plot the val scores over the phases of a run: ``python benchmarks/plot_phases.py FILE.png RUN RUN …``.

Each RUN is the folder of a phase, in the order of training.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from timing import parser

from looksay.training import checkpoint

LINES = {"val_CIDEr-D": "CIDEr-D", "val_BLEU-4": "BLEU-4"}


def plot(runs: list[Path], file: Path) -> None:
    """Plot the scores by epoch, all phases on one axis."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    previous = 0  # epochs
    for run in runs:
        rows = checkpoint.read(run)
        epochs = [previous + number for number in range(1, len(rows) + 1)]
        best = max(range(len(rows)), key=lambda row: (rows[row]["val_CIDEr-D"], row))
        for number, (key, label) in enumerate(LINES.items()):
            scores = [100 * row[key] for row in rows]
            axes.plot(epochs, scores, f"C{number}", marker="o", markersize=4, label=None if previous else label)
            axes.annotate(
                f"{scores[best]:.1f}", (epochs[best], scores[best]), (0, 7), textcoords="offset points", ha="center"
            )
        middle = previous + (1 + len(rows)) / 2
        axes.text(middle, 1.01, run.name, transform=axes.get_xaxis_transform(), ha="center", va="bottom")
        previous += len(rows)
        axes.axvline(previous + 0.5, color="grey", linewidth=0.8)
    axes.set(xlabel="epoch, over all phases", ylabel="val score, captions decoded with beam 3")
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")
    FigureCanvasAgg(figure).print_figure(file, dpi=110, format="png")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("runs", type=Path, nargs="+")
    options = arguments.parse_args()
    plot([run for run in options.runs if checkpoint.read(run)], options.file)
