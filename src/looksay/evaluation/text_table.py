"""An evaluation as a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator

from looksay.evaluation.scoring import TOKENISER, Evaluation

_WIDTH = 9


def table(found: Evaluation) -> Iterator[str]:
    """Yield the lines of the table: what was scored, the scores with people's beside them, and what captions are like.

    Scores are times 100, as papers write them.
    """
    yield from headlines(found)
    yield ""
    yield f"{'':12}" + "".join(f"{name:>{_WIDTH}}" for name in found.scores)
    yield f"{'captions':12}" + "".join(scaled(value).rjust(_WIDTH) for value in found.scores.values())
    if found.people.scores:
        line = "".join(scaled(found.people.scores[name]).rjust(_WIDTH) for name in found.scores)
        yield f"{'people':12}{line}   {people_note(found)}"
    yield from undefined(found)
    yield ""
    yield f"{'':22}{'captions':>10}{'people':>10}"
    for name, value in found.health.items():
        yield f"{name:22}{plain(name, value):>10}{plain(name, found.people_health.get(name, math.nan)):>10}"


def headlines(found: Evaluation) -> Iterator[str]:
    """Yield what was scored, a fact a line."""
    least, most = found.references
    references = f"{least}" if least == most else f"{least} to {most}"
    yield f"{found.facts.get('model', 'captions')}: {len(found.records):,} images, split {found.facts['split']}"
    yield f"data: {found.facts['data']}"
    yield f"references: {references} an image; words: {TOKENISER}"
    if search := found.facts.get("search"):
        yield "search: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in search.items())


def people_note(found: Evaluation) -> str:
    """Say what people's scores are."""
    people = found.people
    more = " or more" if found.references[1] > people.references + 1 else ""
    others = f"{people.references}{more} other" + "s" * (people.references > 1 or bool(more))
    few = "" if people.images == len(found.records) else f", {people.images:,} of {len(found.records):,} images"
    return f"one caption against {others}{few}"


def undefined(found: Evaluation) -> list[str]:
    """Say which scores are undefined, and why."""
    why = "of one image is undefined: its weights come from comparing images"
    return [f"{name} {why}" for name, value in found.scores.items() if math.isnan(value)]


def scaled(value: float) -> str:
    """Write a score as papers do."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def plain(name: str, value: float) -> str:
    """Write a figure of captions in as many digits as it bears; nothing where there is none."""
    if math.isnan(value):
        return ""
    if name.startswith("distinct-"):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
