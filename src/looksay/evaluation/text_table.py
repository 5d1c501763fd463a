"""Text table of an evaluation, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict

from looksay.decoding.options import DecodingOptions
from looksay.evaluation.scoring import TOKENIZER, Evaluation

_WIDTH = 9
_ALWAYS = ("num_beams", "max_length", "length_penalty")  # options listed even if they are looksay's defaults


def table(evaluation: Evaluation) -> Iterator[str]:
    """Yield the lines of the table; scores are times 100, as in papers."""
    human = evaluation.human_agreement
    yield from headlines(evaluation)
    yield ""
    yield f"{'':12}" + "".join(f"{name:>{_WIDTH}}" for name in evaluation.scores)
    yield f"{'captions':12}" + "".join(scaled(value).rjust(_WIDTH) for value in evaluation.scores.values())
    if human.scores:
        scores = "".join(scaled(human.scores[name]).rjust(_WIDTH) for name in evaluation.scores)
        yield f"{'human':12}{scores}   {human_note(evaluation)}"
    yield from undefined(evaluation)
    yield ""
    yield f"{'':22}{'captions':>10}{'human':>10}"
    for name, value in evaluation.diversity.items():
        yield f"{name:22}{plain(name, value):>10}{plain(name, evaluation.human_diversity.get(name)):>10}".rstrip()


def headlines(evaluation: Evaluation) -> Iterator[str]:
    """Yield the lines above the table: model, data, references and decoding options."""
    facts, (least, most), count = evaluation.facts, evaluation.references, len(evaluation.records)
    references = f"{least}" if least == most else f"{least} to {most}"
    yield f"{facts.get('model', 'captions')}: {count:,} image{'s' * (count > 1)}, split {facts['split']}"
    yield f"data: {facts['data']}"
    yield f"references: {references} per image; tokenizer: {TOKENIZER}"
    if evaluation.decoding:
        defaults = asdict(DecodingOptions())
        options = [
            f"{name.replace('_', ' ')} {value}"
            for name, value in asdict(evaluation.decoding).items()
            if name in _ALWAYS or value != defaults[name]
        ]
        yield f"decoding: {', '.join(options)}"


def human_note(evaluation: Evaluation) -> str:
    """Return what the scores of human agreement are based on."""
    human = evaluation.human_agreement
    more = " or more" if evaluation.references[1] > human.references + 1 else ""
    others = f"{human.references}{more} other" + "s" * (human.references > 1 or bool(more))
    total = len(evaluation.records)
    subset = "" if human.images == total else f", {human.images:,} of {total:,} images"
    return f"one caption against {others}{subset}"


def undefined(evaluation: Evaluation) -> list[str]:
    """Return a line for each score that is undefined."""
    reasons = {
        "CIDEr-D": "of one image is undefined: its weights come from comparing images",
        "SPICE": "is undefined: neither a caption nor its references name an object",
    }
    return [f"{name} {reasons[name]}" for name, value in evaluation.scores.items() if math.isnan(value)]


def scaled(value: float) -> str:
    """Format a score times 100."""
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def plain(name: str, value: float | None) -> str:
    """Format a measure of diversity; empty without a value."""
    if value is None:
        return ""
    if name.startswith("distinct-"):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
