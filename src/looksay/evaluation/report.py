"""An evaluation as one HTML page that needs no other file."""

from __future__ import annotations

import html
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import looksay
from looksay.captioner import Captioner
from looksay.data import Record
from looksay.decoding.options import Overrides
from looksay.errors import ImageError
from looksay.evaluation import charts, text_table
from looksay.evaluation.scoring import Evaluation
from looksay.evaluation.thumbnails import LOOKS_STYLE, looks, thumbnail
from looksay.metrics.diversity import MEANING, over_and_under_said
from looksay.text.tokenizer import tokenize

_EACH = 12  # images in a section
_REPEATED = 6  # captions that are said most often
_LOOKS = 6  # images with attention maps
_WORDS = 15
_LONG = 30  # words; longer captions share a bar

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --own: #3a7bd5; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; }
h1 { margin-bottom: .2em; } h2 { margin-top: 2.2em; border-top: 1px solid var(--line); padding-top: .8em; }
.quiet, .score { opacity: .72; } .wide { overflow-x: auto; } table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .3em .9em; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; } td b { font-size: 1.1em; }
.row, .grid { display: grid; gap: 1.5em; } .row { grid-template-columns: repeat(auto-fit, minmax(17em, 1fr)); }
.grid { grid-template-columns: repeat(auto-fill, minmax(15em, 1fr)); }
figure { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.grid img { width: 100%; height: 12em; object-fit: contain; border-radius: 6px; background: var(--line); }
.none { display: grid; place-items: center; height: 12em; border-radius: 6px; background: var(--line); }
figcaption b { display: block; margin: .4em 0 .1em; } ul { margin: .3em 0; padding-left: 1.2em; }
.chart { max-width: 26em; } .chart rect { fill: var(--own); }
.chart line { stroke: currentColor; stroke-dasharray: 3 3; } .chart text { font-size: 11px; fill: currentColor; }
.chart polyline { fill: none; stroke: currentColor; stroke-width: 1.2; opacity: .75; }
"""


def page(found: Evaluation, captioner: Captioner | None = None) -> str:
    """Write the page.

    Parameters
    ----------
    found : Evaluation
    captioner : Captioner, optional
        The model, if it is at hand: then the page shows where it looked.

    Returns
    -------
    str
        HTML with tables, histograms and images.
    """
    title = f"{found.facts['model']} on {found.facts['split']}"
    ranked = _ranked(found)
    drawn = random.Random(0).sample(ranked, min(_EACH, len(ranked)))  # noqa: S311 (the same on every run)
    sections = [_scores(found), _histograms(found), *_galleries(found, ranked, drawn)]
    sections += [_looks(found, captioner, drawn)] if captioner else []
    sections += [_repeated(found), _words(found), _problems(found)]
    facts = "<br>".join(html.escape(line) for line in text_table.headlines(found))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}{LOOKS_STYLE}</style><h1>{html.escape(title)}</h1>"
        f'<p class="quiet">{facts}<br>looksay {looksay.__version__}</p>{"".join(sections)}</html>\n'
    )


def _ranked(found: Evaluation) -> list[int]:
    """Order images from the worst to the best by CIDEr-D, and by ROUGE-L where that is equal or undefined."""
    scores = zip(np.nan_to_num(found.by_image["CIDEr-D"]).tolist(), found.by_image["ROUGE-L"], strict=True)
    return [place for _, place in sorted((score, place) for place, score in enumerate(scores))]


def _scores(found: Evaluation) -> str:
    names = "".join(f"<th>{name}</th>" for name in found.scores)
    own = "".join(f"<td><b>{text_table.scaled(value)}</b></td>" for value in found.scores.values())
    people, note = "", ""
    if found.people.scores:
        cells = "".join(f"<td>{text_table.scaled(found.people.scores[name])}</td>" for name in found.scores)
        people, note = f"<tr><td>people</td>{cells}</tr>", f" People: {text_table.people_note(found)}."
    undefined = "".join(f" {html.escape(line)}." for line in text_table.undefined(found))
    rows = "".join(
        f'<tr><td title="{html.escape(MEANING[name])}">{html.escape(name)}</td>'
        f"<td><b>{text_table.plain(name, value)}</b></td>"
        f"<td>{text_table.plain(name, found.people_health.get(name, math.nan))}</td></tr>"
        for name, value in found.health.items()
    )
    meanings = "".join(f"<li><b>{name}</b>: {html.escape(MEANING[name])}</li>" for name in found.health)
    return (
        f'<h2>Scores</h2><div class="wide"><table><tr><th></th>{names}</tr><tr><td>captions</td>{own}</tr>{people}'
        f'</table></div><p class="quiet">Times 100, as coco-caption computes them.{note}{undefined}</p>'
        f'<div class="wide"><table><tr><th></th><th>captions</th><th>people</th></tr>{rows}</table></div>'
        f"<details><summary>What these figures mean</summary><ul>{meanings}</ul></details>"
    )


def _histograms(found: Evaluation) -> str:
    lengths = [len(tokenize(caption)) for caption in found.said]
    theirs = [len(tokenize(caption)) for record in found.records for caption in record.references]
    drawn = []
    for name, values in found.by_image.items():
        if not any(map(math.isnan, values)):
            highest = 100 * max(1, math.ceil(max(values)))
            drawn.append(charts.histogram(f"{name} of a caption", [100 * value for value in values], highest))
    drawn.append(charts.counts("words of a caption (outline: people)", lengths, theirs, _LONG))
    return f'<h2>How the scores are spread</h2><div class="row">{"".join(drawn)}</div>'


def _galleries(found: Evaluation, ranked: Sequence[int], drawn: Sequence[int]) -> Iterable[str]:
    key = "ROUGE-L" if math.isnan(found.by_image["CIDEr-D"][0]) else "CIDEr-D"
    if len(ranked) <= 2 * _EACH:
        yield _gallery("Captions", f"All of them, from the highest {key} to the lowest.", found, ranked[::-1])
        return
    yield _gallery("Best", f"The highest {key}.", found, ranked[: -_EACH - 1 : -1])
    yield _gallery("Worst", f"The lowest {key}: look for what the model cannot see.", found, ranked[:_EACH])
    yield _gallery("Drawn at random", "What captions are usually like.", found, drawn)


def _gallery(title: str, note: str, found: Evaluation, places: Iterable[int]) -> str:
    figures = "".join(_figure(found, place) for place in places)
    return f'<h2>{title}</h2><p class="quiet">{note}</p><div class="grid">{figures}</div>'


def _figure(found: Evaluation, place: int) -> str:
    record = found.records[place]
    references = "".join(f'<li dir="auto">{html.escape(caption)}</li>' for caption in record.references)
    scores = [f"{name} {text_table.scaled(values[place])}" for name, values in found.by_image.items()]
    small = " · ".join(scores) + f"<br>{html.escape(record.image.name)}"
    return (
        f"<figure>{_image(record)}<figcaption>{_said(found.said[place])}"
        f'<span class="score">{small}</span><ul class="quiet">{references}</ul></figcaption></figure>'
    )


def _said(caption: str) -> str:
    return f'<b dir="auto">{html.escape(caption) or "(nothing)"}</b>'


def _image(record: Record) -> str:
    found = thumbnail(record.image)
    name = html.escape(record.image.name)
    return f'<img alt="{name}" src="{found.url}">' if found else '<div class="none quiet">no image</div>'


def _repeated(found: Evaluation) -> str:
    places: dict[str, list[int]] = defaultdict(list)
    for place, caption in enumerate(found.said):
        places[caption].append(place)
    most = sorted(places.items(), key=lambda item: (-len(item[1]), item[0]))[:_REPEATED]
    rows = ""
    for caption, where in most:
        if len(where) > 1:
            figures = "".join(f"<figure>{_image(found.records[place])}</figure>" for place in where[:5])
            rows += f'<p>{_said(caption)} <span class="quiet">said of {len(where)} images</span></p>'
            rows += f'<div class="grid">{figures}</div>'
    return f"<h2>Said most often</h2>{rows or '<p>No caption is said twice.</p>'}"


def _words(found: Evaluation) -> str:
    said = [tokenize(caption) for caption in found.said]
    references = [[tokenize(caption) for caption in record.references] for record in found.records]
    tables = ""
    for title, words in zip(("too often", "too rarely"), over_and_under_said(said, references, _WORDS), strict=True):
        rows = "".join(
            f"<tr><td>{html.escape(word)}</td><td>{own:.1f} %</td><td>{theirs:.1f} %</td></tr>"
            for word, own, theirs in words
        )
        tables += f"<div><table><tr><th>{title}</th><th>captions</th><th>people</th></tr>{rows}</table></div>"
    return (
        "<h2>Words said too often and too rarely</h2>"
        f'<p class="quiet">Percent of captions that have the word.</p><div class="row">{tables}</div>'
    )


def _looks(found: Evaluation, captioner: Captioner, places: Sequence[int]) -> str:
    search = found.facts["search"]
    shown = "".join(_look(found.records[place].image, captioner, search) for place in places[:_LOOKS])
    note = "The image, and then for each word: bright is where the model looked when it said it."
    return f'<h2>Where it looked</h2><p class="quiet">{note}</p>{shown}'


def _look(path: Path, captioner: Captioner, search: Overrides) -> str:
    try:
        (caption,) = captioner(path, attention=True, **{**search, "num_captions": 1})
    except ImageError:
        return ""
    small = thumbnail(path)
    shown = looks(caption, small) if small else ""
    return f"{_said(caption.text)}{shown}" if shown else ""


def _problems(found: Evaluation) -> str:
    rows = "".join(f"<li>{html.escape(problem)}</li>" for problem in found.problems)
    return f"<h2>Not scored, or odd</h2><ul>{rows}</ul>" if rows else ""
