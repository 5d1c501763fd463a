"""Captions of a split → everything that is said of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from looksay.data import Record
from looksay.metrics import Scorer
from looksay.metrics.health import health
from looksay.words import tokenize

TOKENISER = "coco-caption's words (PTB 3.4.1, without its punctuation)"


@dataclass(frozen=True)
class Evaluation:
    """Captions with all their scores.

    Attributes
    ----------
    facts : dict
        What was scored: model, data set, split, search.
    records : list of Record
        The pictures, with their references.
    said : list of str
        Their captions.
    scores, people : dict of str to float
        Scores on the scale of 1; people's are of one caption against the others of its picture.
    people_references : int
        How many references people's captions were scored against; 0 if no picture has two.
    health, people_health : dict of str to float
        See `looksay.metrics.health`; people's are of the first caption of each picture.
    by_image : dict of str to list of float
        ROUGE-L and CIDEr-D of each caption.
    problems : list of str
        What was not scored, and why.
    """

    facts: dict[str, Any]
    records: list[Record]
    said: list[str]
    scores: dict[str, float]
    people: dict[str, float]
    people_references: int
    health: dict[str, float]
    people_health: dict[str, float]
    by_image: dict[str, list[float]]
    problems: list[str] = field(default_factory=list)

    @cached_property
    def references(self) -> tuple[int, int]:
        """The smallest and the largest number of references of a picture."""
        counts = [len(record.references) for record in self.records]
        return min(counts), max(counts)

    def to_json(self) -> dict[str, Any]:
        """Return what stands in ``scores.json``; a score that is undefined is null."""
        return {
            **self.facts,
            "pictures": len(self.records),
            "references": list(self.references),
            "tokeniser": TOKENISER,
            "scores": _defined(self.scores),
            "people": {"references": self.people_references, **_defined(self.people)},
            "captions": _defined(self.health),
            "people's captions": _defined(self.people_health),
            "problems": self.problems,
        }


def _defined(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 6) for name, value in scores.items()}


def judge(
    records: Sequence[Record],
    said: Sequence[str],
    facts: dict[str, Any],
    *,
    training: Iterable[str] = (),
    meteor: bool = False,
    spice: bool = False,
    problems: Sequence[str] = (),
) -> Evaluation:
    """Score the captions of some pictures.

    Parameters
    ----------
    records : sequence of Record
    said : sequence of str
        A caption for each.
    facts : dict
        What is scored, for the report.
    training : iterable of str
        Captions of the train split, to count new ones.
    meteor, spice : bool
        See `looksay.metrics.score`.

    Raises
    ------
    DataError
        If there is nothing to score.
    MissingExtra, MetricError
        If METEOR or SPICE cannot run.
    """
    scorer = Scorer([record.references for record in records], meteor=meteor, spice=spice)
    scores = scorer.scores(said)
    people, people_references = scorer.people
    known = [tokenize(caption) for caption in training]
    first = [others[0] for others in scorer.references]
    return Evaluation(
        facts=facts,
        records=list(records),
        said=list(said),
        scores=scores,
        people=people,
        people_references=people_references,
        health=health([tokenize(caption) for caption in said], scorer.references, known),
        people_health=health(first, scorer.references, known) if people else {},
        by_image=scorer.image_scores(said),
        problems=list(problems),
    )
