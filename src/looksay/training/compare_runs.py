"""Comparison of runs: scores, sizes and speeds, as a table and a chart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from safetensors import safe_open

from looksay.errors import RunError
from looksay.training import checkpoint, recipe_file
from looksay.training.module import MONITOR

_SCORES = {"BLEU-4": "val_BLEU-4", "ROUGE-L": "val_ROUGE-L", "CIDEr-D": MONITOR}


@dataclass(frozen=True)
class RunSummary:
    """Figures of a run."""

    run: Path
    name: str  # the folder's name, or its path if two runs have the same name
    encoder: str
    decoder: str
    scores: dict[str, float]  # of the val split at the best epoch, as fractions of 1
    best: int  # epoch
    epochs: int
    parameters: int  # of the model, with its encoder
    megabytes: float  # of the weights
    minutes: float  # of training, with validation
    captions_a_second: float  # decoded in validation, from cached features; nan if unknown


def compare(runs: Sequence[Path]) -> list[RunSummary]:
    """Read runs, best CIDEr-D first; a folder without a run that completed an epoch raises a RunError."""
    names = Counter(run.name for run in runs)
    summaries = (_read(run, str(run) if names[run.name] > 1 else run.name) for run in runs)
    return sorted(summaries, key=lambda summary: -summary.scores["CIDEr-D"])


def _read(run: Path, name: str) -> RunSummary:
    rows = checkpoint.read(run)
    if not rows or not (run / checkpoint.BEST).is_file():
        raise RunError(f"{run} is not a run that has completed an epoch: make one with looksay train")
    recipe = recipe_file.load(run / checkpoint.RECIPE)
    best = max(rows, key=lambda row: (row[MONITOR], row["epoch"]))
    with safe_open(run / checkpoint.BEST, framework="np") as weights:
        parameters = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return RunSummary(
        run=run,
        name=name,
        encoder=f"{recipe.encoder.name} {recipe.encoder.features}",
        decoder=recipe.decoder.name,
        scores={name: best.get(key, math.nan) for name, key in _SCORES.items()},
        best=best["epoch"],
        epochs=len(rows),
        parameters=parameters,
        megabytes=(run / checkpoint.BEST).stat().st_size / 1e6,
        minutes=sum(row["seconds"] for row in rows) / 60,
        captions_a_second=best.get("val_captions_a_second", math.nan),
    )


def table(summaries: Sequence[RunSummary]) -> Iterator[str]:
    """Yield the lines of a table; scores times 100, parameters in millions."""
    width = max(len("run"), *(len(summary.name) for summary in summaries))
    encoders = max(len("encoder"), *(len(summary.encoder) for summary in summaries))
    scores = "".join(f"{name:>9}" for name in _SCORES)
    costs = f"{'epoch':>8}{'params':>9}{'MB':>7}{'min':>7}{'capt/s':>8}"
    yield f"{'run':{width}}  {'encoder':{encoders}}  {'decoder':14}{scores}{costs}"
    for summary in summaries:
        values = "".join(f"{100 * value:>9.1f}" for value in summary.scores.values())
        yield (
            f"{summary.name:{width}}  {summary.encoder:{encoders}}  {summary.decoder:14}{values}"
            f"{f'{summary.best}/{summary.epochs}':>8}{summary.parameters / 1e6:>8.1f}M{summary.megabytes:>7.0f}"
            f"{summary.minutes:>7.1f}{summary.captions_a_second:>8.0f}"
        )


def chart(summaries: Sequence[RunSummary], file: Path) -> None:
    """Plot CIDEr-D by epoch, and the scores at the best epoch as bars, as PNG."""
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for summary in summaries:
        rows = checkpoint.read(summary.run)
        epochs = [row["epoch"] for row in rows]
        left.plot(epochs, [100 * row[MONITOR] for row in rows], marker="o", markersize=3, label=summary.name)
    left.set(title="CIDEr-D of decoded val captions", xlabel="epoch")
    left.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    left.legend()
    for place, name in enumerate(_SCORES):
        offsets = [row + (place - 1) * 0.27 for row in range(len(summaries))]
        bars = right.barh(offsets, [100 * summary.scores[name] for summary in summaries], height=0.25, label=name)
        right.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    right.set_yticks(range(len(summaries)), [summary.name for summary in summaries])
    right.invert_yaxis()
    right.set(title="val scores at the best epoch")
    right.margins(x=0.12)
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_figure(file, dpi=110, format="png")
