"""An evaluation as one HTML page that needs no other file."""

from __future__ import annotations

import html
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from looksay.captioner import Captioner
from looksay.errors import ImageError
from looksay.evaluation import charts, text
from looksay.evaluation.judge import Evaluation
from looksay.evaluation.pictures import shade, thumbnail
from looksay.metrics.health import over_and_under_said
from looksay.specs import SearchChanges
from looksay.words import tokenize

_EACH = 12  # pictures in a section
_REPEATED = 6  # captions that are said most often
_LOOKS = 6  # pictures with attention maps
_WORDS = 15

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --own: #3a7bd5; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; }
h1 { margin-bottom: .2em; } h2 { margin-top: 2.2em; border-top: 1px solid var(--line); padding-top: .8em; }
.quiet, td.quiet, figcaption .score { opacity: .72; } table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .3em .9em; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } td b { font-size: 1.1em; }
.row, .grid { display: grid; gap: 1.5em; } .row { grid-template-columns: repeat(auto-fit, minmax(17em, 1fr)); }
.grid { grid-template-columns: repeat(auto-fill, minmax(15em, 1fr)); }
figure { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.grid img { width: 100%; height: 12em; object-fit: contain; border-radius: 6px; background: var(--line); }
.none { display: grid; place-items: center; height: 12em; border-radius: 6px; background: var(--line); }
figcaption b { display: block; margin: .4em 0 .1em; } ul { margin: .3em 0; padding-left: 1.2em; }
.chart rect { fill: var(--own); } .chart line { stroke: currentColor; stroke-dasharray: 3 3; }
.chart polyline { fill: none; stroke: currentColor; stroke-width: 1.2; opacity: .75; }
.chart text { font-size: 11px; fill: currentColor; }
.looks { display: flex; flex-wrap: wrap; gap: .5em; margin: .6em 0 1.4em; }
.looks span { width: 7.5em; text-align: center; font-size: 13px; }
.looks i { display: block; aspect-ratio: 1; border-radius: 5px; background-size: 100% 100%; }
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
        HTML with tables, histograms and pictures.
    """
    title = f"{found.facts.get('model', 'captions')} on {found.facts['split']}"
    ranked = _ranked(found)
    drawn = random.Random(0).sample(ranked, min(_EACH, len(ranked)))  # noqa: S311 (the same on every run)
    sections = [
        _scores(found),
        _histograms(found),
        _section("Best", "The highest CIDEr-D.", found, ranked[: -_EACH - 1 : -1]),
        _section("Worst", "The lowest CIDEr-D: look for what the model cannot see.", found, ranked[:_EACH]),
        _section("Drawn at random", "What captions are usually like.", found, drawn),
        _looks(found, captioner, drawn) if captioner else "",
        _repeated(found),
        _words(found),
        _problems(found),
    ]
    quiet = "<br>".join(html.escape(line) for line in text.headlines(found))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
        f'<p class="quiet">{quiet}</p>{"".join(sections)}</html>\n'
    )


def _ranked(found: Evaluation) -> list[int]:
    """Order pictures from the worst to the best by CIDEr-D, and by ROUGE-L where that is equal or undefined."""
    scores = zip(np.nan_to_num(found.by_image["CIDEr-D"]).tolist(), found.by_image["ROUGE-L"], strict=True)
    return [place for _, place in sorted((score, place) for place, score in enumerate(scores))]


def _scores(found: Evaluation) -> str:
    own = "".join(f"<td><b>{text.scaled(value)}</b></td>" for value in found.scores.values())
    people = "".join(f"<td>{text.scaled(found.people[name])}</td>" for name in found.scores) if found.people else ""
    line = f'<tr><td>people <span class="quiet">({text.people_note(found)})</span></td>{people}</tr>' if people else ""
    notes = "".join(f"<p>{name} of one picture is undefined.</p>" for name in text.undefined(found))
    health = "".join(
        f"<tr><td>{html.escape(name)}</td><td><b>{text.plain(name, value)}</b></td>"
        f"<td>{text.plain(name, found.people_health.get(name, math.nan))}</td></tr>"
        for name, value in found.health.items()
    )
    return (
        f"<h2>Scores</h2><table><tr><th></th>{''.join(f'<th>{name}</th>' for name in found.scores)}</tr>"
        f"<tr><td>captions</td>{own}</tr>{line}</table>{notes}"
        f'<p class="quiet">Times 100, as coco-caption computes them.</p>'
        f"<table><tr><th></th><th>captions</th><th>people</th></tr>{health}</table>"
    )


def _histograms(found: Evaluation) -> str:
    lengths = [len(tokenize(caption)) for caption in found.said]
    theirs = [len(tokenize(caption)) for record in found.records for caption in record.references]
    longest = max(*lengths, *theirs)
    drawn = [charts.histogram("ROUGE-L of a caption", found.by_image["ROUGE-L"], 20, 0, 1)]
    if not any(map(math.isnan, found.by_image["CIDEr-D"])):
        drawn.insert(0, charts.histogram("CIDEr-D of a caption", found.by_image["CIDEr-D"], 20, 0, 4))
    drawn.append(charts.histogram("words of a caption (outline: people)", lengths, longest + 1, 0, longest + 1, theirs))
    return f'<h2>How the scores are spread</h2><div class="row">{"".join(drawn)}</div>'


def _section(title: str, note: str, found: Evaluation, places: Iterable[int]) -> str:
    figures = "".join(_figure(found, place) for place in places)
    return f'<h2>{title}</h2><p class="quiet">{note}</p><div class="grid">{figures}</div>'


def _figure(found: Evaluation, place: int) -> str:
    record = found.records[place]
    references = "".join(f"<li>{html.escape(caption)}</li>" for caption in record.references)
    cider, rouge = found.by_image["CIDEr-D"][place], found.by_image["ROUGE-L"][place]
    score = f"ROUGE-L {rouge:.2f}" if math.isnan(cider) else f"CIDEr-D {cider:.2f} · ROUGE-L {rouge:.2f}"
    return (
        f"<figure>{_picture(record.image)}<figcaption><b>{html.escape(found.said[place]) or '(nothing)'}</b>"
        f'<span class="score">{score} · {html.escape(record.image.name)}</span><ul class="quiet">{references}</ul>'
        "</figcaption></figure>"
    )


def _picture(path: Path) -> str:
    url = thumbnail(path)
    return f'<img alt="" src="{url}">' if url else '<div class="none quiet">no picture</div>'


def _repeated(found: Evaluation) -> str:
    places: dict[str, list[int]] = defaultdict(list)
    for place, caption in enumerate(found.said):
        places[caption].append(place)
    most = sorted(places.items(), key=lambda item: (-len(item[1]), item[0]))[:_REPEATED]
    rows = ""
    for caption, where in most:
        if len(where) > 1:
            figures = "".join(f"<figure>{_picture(found.records[place].image)}</figure>" for place in where[:5])
            said = f'{html.escape(caption) or "(nothing)"} <span class="quiet">said of {len(where)} pictures</span>'
            rows += f'<h3>{said}</h3><div class="grid">{figures}</div>'
    return f"<h2>Said most often</h2>{rows or '<p>No caption is said twice.</p>'}"


def _words(found: Evaluation) -> str:
    said = [tokenize(caption) for caption in found.said]
    references = [[tokenize(caption) for caption in record.references] for record in found.records]
    tables = "".join(
        f"<table><tr><th>{title}</th><th>captions</th><th>people</th></tr>"
        + "".join(
            f"<tr><td>{html.escape(w)}</td><td>{own:.1f} %</td><td>{theirs:.1f} %</td></tr>" for w, own, theirs in rows
        )
        + "</table>"
        for title, rows in zip(("too often", "too rarely"), over_and_under_said(said, references, _WORDS), strict=True)
    )
    return (
        "<h2>Words said too often and too rarely</h2>"
        f'<p class="quiet">Percent of captions that have the word.</p><div class="row">{tables}</div>'
    )


def _looks(found: Evaluation, captioner: Captioner, places: Sequence[int]) -> str:
    search = found.facts["search"]
    shown = "".join(_look(found.records[place].image, captioner, search) for place in places[:_LOOKS])
    return f'<h2>Where it looked</h2><p class="quiet">Bright is where the model looked for the word below.</p>{shown}'


def _look(path: Path, captioner: Captioner, search: SearchChanges) -> str:
    try:
        caption = captioner(path, attention=True, **search)
    except ImageError:
        return ""
    if caption.attention is None:
        return ""
    words = "".join(
        f"<span><i style=\"background-image: url('{shade(attention)}'), var(--picture)\"></i>{html.escape(word)}</span>"
        for word, attention in zip(caption.words, caption.attention, strict=True)
    )
    style = f"--picture: url('{thumbnail(path)}')"
    return f'<b>{html.escape(caption.text)}</b><div class="looks" style="{style}">{words}</div>'


def _problems(found: Evaluation) -> str:
    rows = "".join(f"<li>{html.escape(problem)}</li>" for problem in found.problems)
    return f"<h2>Not scored, or odd</h2><ul>{rows}</ul>" if rows else ""
