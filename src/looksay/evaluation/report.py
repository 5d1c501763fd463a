"""Report of an evaluation as one self-contained HTML page, from ``templates/report.html``."""

from __future__ import annotations

import functools
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import looksay
from looksay.captioner import Captioner
from looksay.data import Record
from looksay.errors import ImageError, needs
from looksay.evaluation import text_table
from looksay.evaluation.scoring import Evaluation
from looksay.evaluation.thumbnails import STRIP_STYLE, attention_strip, thumbnail
from looksay.metrics.diversity import MEANING, overused_and_underused_words
from looksay.text.tokenizer import tokenize

_GALLERY = 12  # images of a gallery
_REPEATED = 6  # most frequent captions
_STRIPS = 6  # images with attention maps
_WORDS = 15  # overused and underused words
_BINS = 20  # of a histogram of scores
_LONGEST = 30  # words; longer captions share a bar


class Histogram(NamedTuple):
    """A histogram, drawn by ``templates/histogram.svg``."""

    title: str
    mean: float
    mean_position: float  # on the axis, 0 to 1
    bars: list[tuple[str, float]]  # labels and shares, 0 to 1
    outline: list[float]  # shares of a second histogram, drawn as a line
    ends: tuple[str, str]  # labels of the axis


@functools.cache
def environment() -> Any:
    """Return the Jinja2 environment of ``evaluation/templates``; a `MissingExtra` if Jinja2 is not installed."""
    with needs("Writing a report", "metrics"):
        import jinja2
    loader, undefined = jinja2.PackageLoader("looksay.evaluation"), jinja2.StrictUndefined
    return jinja2.Environment(loader=loader, autoescape=True, undefined=undefined, trim_blocks=True, lstrip_blocks=True)


def page(evaluation: Evaluation, captioner: Captioner | None = None) -> str:
    """Return an HTML page with tables, histograms and images.

    Parameters
    ----------
    evaluation : Evaluation
    captioner : Captioner, optional
        The model that was evaluated, for its attention maps.

    Raises
    ------
    MissingExtra
        If Jinja2 is not installed.
    """
    # Image indices from the lowest to the highest CIDEr-D; by ROUGE-L where it is equal or undefined.
    scores = list(zip(*(np.nan_to_num(evaluation.by_image[name]) for name in ("CIDEr-D", "ROUGE-L")), strict=True))
    ranked = sorted(range(len(scores)), key=scores.__getitem__)
    sample = random.Random(0).sample(ranked, min(_GALLERY, len(ranked)))  # noqa: S311 (the same in every report)
    captions = [tokenize(caption) for caption in evaluation.captions]
    references = [[tokenize(caption) for caption in record.references] for record in evaluation.records]
    words = overused_and_underused_words(captions, references, _WORDS)
    content = {
        "evaluation": evaluation,
        "version": looksay.__version__,
        "histograms": [*_score_histograms(evaluation), _length_histogram(captions, references)],
        "galleries": _galleries(evaluation, ranked, sample),
        "strips": _strips(evaluation, captioner, sample) if captioner else None,
        "repeated": _repeated_captions(evaluation),
        "word_tables": zip(("overused", "underused"), words, strict=True),
    }
    tools = {"table": text_table, "meaning": MEANING, "strip_style": STRIP_STYLE, "thumbnail": thumbnail}
    text: str = environment().get_template("report.html").render(content | tools)
    return text


def _score_histograms(evaluation: Evaluation) -> list[Histogram]:
    histograms = []
    for name, values in evaluation.by_image.items():
        if not any(map(math.isnan, values)):
            high = 100.0 * max(1, math.ceil(max(values)))
            edges = np.linspace(0, high, _BINS + 1).tolist()
            labels = [f"{lower:g} to {upper:g}" for lower, upper in pairwise(edges)]
            percentages = [100 * value for value in values]
            title = f"{name} of a caption"
            histograms.append(_histogram(title, percentages, edges, labels, ends=("0", f"{high:g}")))
    return histograms


def _length_histogram(captions: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> Histogram:
    lengths, human = list(map(len, captions)), [len(caption) for image in references for caption in image]
    high = min(_LONGEST, max(*lengths, *human))
    labels = [f"{number}{'+' if number == _LONGEST else ''}" for number in range(high + 1)]
    title, edges = "words per caption (outline: human captions)", [number - 0.5 for number in range(high + 2)]
    return _histogram(title, lengths, edges, labels, ends=(labels[0], labels[-1]), outlined=human)


def _histogram(
    title: str, values: Sequence[float], edges: Sequence[float], labels: Sequence[str], ends: tuple[str, str],
    outlined: Sequence[float] = (),
) -> Histogram:  # fmt: skip
    """Return a histogram of values and, as its outline, of others; values past the ends count in the last bars."""
    low, high, mean = edges[0], edges[-1], float(np.mean(values))
    counts, others = (np.histogram(np.clip(numbers, low, high), edges)[0] for numbers in (values, outlined))
    bars = list(zip(labels, (counts / len(values)).tolist(), strict=True))
    outline = (others / len(outlined)).tolist() if outlined else []
    return Histogram(title, mean, min(1.0, (mean - low) / (high - low)), bars, outline, ends)


def _galleries(
    evaluation: Evaluation, ranked: Sequence[int], sample: Sequence[int]
) -> list[tuple[str, str, Sequence[int]]]:
    """Return headings, notes and indices of images."""
    metric = "ROUGE-L" if math.isnan(evaluation.by_image["CIDEr-D"][0]) else "CIDEr-D"
    if len(ranked) <= 2 * _GALLERY:
        return [("Captions", f"All captions, from the highest {metric} to the lowest.", ranked[::-1])]
    worst = f"Captions with the lowest {metric}: they show what the model does not recognise."
    return [
        ("Best", f"Captions with the highest {metric}.", ranked[: -_GALLERY - 1 : -1]),
        ("Worst", worst, ranked[:_GALLERY]),
        ("Random sample", "Typical captions.", sample),
    ]


def _strips(evaluation: Evaluation, captioner: Captioner, indices: Sequence[int]) -> list[tuple[str, str]]:
    """Return captions and their attention strips as HTML; only of captions that are decoded as they were scored."""
    options = asdict(evaluation.decoding) if evaluation.decoding else {}
    paths = {index: evaluation.records[index].image for index in indices[:_STRIPS]}
    strips = []
    for index, outcome in zip(paths, captioner.outcomes(paths.values(), attention=True, **options), strict=True):
        small = thumbnail(paths[index])
        if isinstance(outcome, ImageError) or outcome[0].text != evaluation.captions[index] or small is None:
            continue
        if strip := attention_strip(outcome[0], small):
            strips.append((outcome[0].text, strip))
    return strips


def _repeated_captions(evaluation: Evaluation) -> list[tuple[str, list[Record]]]:
    """Return the captions that occur most often, with their images."""
    records_of: dict[str, list[Record]] = defaultdict(list)
    for record, caption in zip(evaluation.records, evaluation.captions, strict=True):
        records_of[caption].append(record)
    ranked = sorted(records_of.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(caption, records) for caption, records in ranked[:_REPEATED] if len(records) > 1]
