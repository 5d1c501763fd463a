"""Report of an evaluation as one self-contained HTML page, from ``templates/report.html``."""

from __future__ import annotations

import functools
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

import looksay
from looksay.captioner import Captioner
from looksay.data import Record
from looksay.errors import ImageError, MissingExtra
from looksay.evaluation import charts, text_table
from looksay.evaluation.scoring import Evaluation
from looksay.evaluation.thumbnails import STRIP_STYLE, attention_strip, thumbnail
from looksay.metrics.diversity import MEANING, overused_and_underused_words
from looksay.text.tokenizer import tokenize

_GALLERY = 12  # images of a gallery
_REPEATED = 6  # most frequent captions
_STRIPS = 6  # images with attention maps
_WORDS = 15  # overused and underused words
_LONGEST = 30  # words; longer captions share a bar


@functools.cache
def environment() -> Any:
    """Return the Jinja2 environment of ``evaluation/templates``; a `MissingExtra` if Jinja2 is not installed."""
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("Writing a report", "metrics") from error
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
    ranked = _rank(evaluation)
    sample = random.Random(0).sample(ranked, min(_GALLERY, len(ranked)))  # noqa: S311 (the same in every report)
    text: str = (
        environment()
        .get_template("report.html")
        .render(
            title=f"{evaluation.facts['model']} on {evaluation.facts['split']}",
            version=looksay.__version__,
            evaluation=evaluation,
            table=text_table,
            meaning=MEANING,
            charts=_charts(evaluation),
            chart_width=charts.WIDTH,
            chart_height=charts.HEIGHT,
            galleries=_galleries(evaluation, ranked, sample),
            strips=_strips(evaluation, captioner, sample) if captioner else None,
            strip_style=STRIP_STYLE,
            repeated=_repeated_captions(evaluation),
            word_tables=_word_tables(evaluation),
            thumbnail=thumbnail,
        )
    )
    return text


def _rank(evaluation: Evaluation) -> list[int]:
    """Return image indices from the lowest to the highest CIDEr-D; ROUGE-L where it is equal or undefined."""
    cider = np.nan_to_num(evaluation.by_image["CIDEr-D"]).tolist()
    scores = list(zip(cider, evaluation.by_image["ROUGE-L"], strict=True))
    return sorted(range(len(scores)), key=scores.__getitem__)


def _charts(evaluation: Evaluation) -> list[charts.Chart]:
    histograms = []
    for name, values in evaluation.by_image.items():
        if not any(map(math.isnan, values)):
            high = 100 * max(1, math.ceil(max(values)))
            histograms.append(charts.score_histogram(f"{name} of a caption", [100 * value for value in values], high))
    lengths = [len(tokenize(caption)) for caption in evaluation.captions]
    human_lengths = [len(tokenize(caption)) for record in evaluation.records for caption in record.references]
    title = "words per caption (outline: human captions)"
    return [*histograms, charts.count_histogram(title, lengths, human_lengths, _LONGEST)]


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
    options["num_captions"] = 1
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


def _word_tables(evaluation: Evaluation) -> list[tuple[str, list[tuple[str, float, float]]]]:
    captions = [tokenize(caption) for caption in evaluation.captions]
    references = [[tokenize(caption) for caption in record.references] for record in evaluation.records]
    tables = overused_and_underused_words(captions, references, _WORDS)
    return list(zip(("overused", "underused"), tables, strict=True))
