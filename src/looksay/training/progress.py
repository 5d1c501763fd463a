"""What a run shows of its progress after each epoch: curves, and a page of sample captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from looksay.evaluation.thumbnails import STRIP_STYLE, Thumbnail, attention_strip, data_url
from looksay.training.caption_dataset import CaptionDataset
from looksay.types import Caption

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("looksay.training"), autoescape=True, undefined=jinja2.StrictUndefined
)
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


def sample_page(dataset: CaptionDataset, captions: Mapping[int, Caption], row: dict[str, Any], file: Path) -> None:
    """Write a self-contained HTML page of val images with the model's captions and the references.

    `captions` are those to show, by the index of their image: the same images every epoch. `row` has the epoch's
    metrics.
    """
    samples = []
    for (index, caption), pixels in zip(captions.items(), dataset.pixels(list(captions)), strict=True):
        image = Thumbnail(data_url(Image.fromarray(pixels)), "1")
        samples.append({
            "url": image.url,
            "caption": caption.text,
            "references": dataset.records[index].references,
            "attention": Markup(attention_strip(caption, image)),  # noqa: S704 - it escapes the words itself
        })  # fmt: skip
    title = f"Epoch {row['epoch']}: CIDEr-D {100 * row['val_CIDEr-D']:.1f}, BLEU-4 {100 * row['val_BLEU-4']:.1f}"
    style = Markup(STRIP_STYLE)  # noqa: S704 - a constant
    html = _TEMPLATES.get_template("samples.html").render(title=title, samples=samples, attention_style=style)
    file.write_text(html, encoding="utf-8")
