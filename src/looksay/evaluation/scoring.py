"""Captions of a split → everything that is said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from looksay.data import ALL, Dataset, Record
from looksay.metrics import Scorer
from looksay.metrics.diversity import health
from looksay.metrics.human_agreement import HumanAgreement
from looksay.text.tokenizer import tokenize

TOKENISER = "coco-caption's words (PTB 3.4.1, without its punctuation)"


@dataclass(frozen=True)
class Evaluation:
    """Captions with all their scores.

    Attributes
    ----------
    facts : dict
        What was scored: model, data set, split, search.
    records : list of Record
        The images, with their references.
    said : list of str
        Their captions.
    scores : dict of str to float
        On the scale of 1.
    people : HumanAgreement
        Scores of people's own captions, each against the others of its image.
    health, people_health : dict of str to float
        See `looksay.metrics.diversity`; people's are of the first caption of each image.
    by_image : dict of str to list of float
        ROUGE-L and CIDEr-D of each caption.
    problems : list of str
        What was not scored, and why.
    """

    facts: dict[str, Any]
    records: list[Record]
    said: list[str]
    scores: dict[str, float]
    people: HumanAgreement
    health: dict[str, float]
    people_health: dict[str, float]
    by_image: dict[str, list[float]]
    problems: list[str] = field(default_factory=list)

    @cached_property
    def references(self) -> tuple[int, int]:
        """The smallest and the largest number of references of an image."""
        counts = [len(record.references) for record in self.records]
        return min(counts), max(counts)

    def to_json(self) -> dict[str, Any]:
        """Return what stands in ``scores.json``; a score that is undefined is null."""
        return {
            **self.facts,
            "images": len(self.records),
            "references": list(self.references),
            "tokeniser": TOKENISER,
            "scores": _defined(self.scores),
            "people": {
                "images": self.people.images,
                "references": self.people.references,
                **_defined(self.people.scores),
            },
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
    dataset: Dataset | None = None,
    meteor: bool = False,
    spice: bool = False,
    problems: Sequence[str] = (),
) -> Evaluation:
    """Score the captions of some images.

    Parameters
    ----------
    records : sequence of Record
    said : sequence of str
        A caption for each.
    facts : dict
        What is scored, for the report.
    dataset : Dataset, optional
        Where they are from: its train split tells which captions are new, unless it is what is scored.
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
    train = dataset.records if dataset and facts["split"] not in ("train", ALL) else ()
    known = [tokenize(caption) for record in train if record.split == "train" for caption in record.references]
    first = [others[0] for others in scorer.references]
    return Evaluation(
        facts=facts,
        records=list(records),
        said=list(said),
        scores=scores,
        people=scorer.people,
        health=health([tokenize(caption) for caption in said], scorer.references, known),
        people_health=health(first, scorer.references, known) if scorer.people.scores else {},
        by_image=scorer.image_scores(said),
        problems=list(problems),
    )
