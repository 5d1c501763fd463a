"""Scores of the captions of a split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from looksay.data import ALL, Dataset, Record
from looksay.decoding.options import DecodingOptions
from looksay.metrics import Scorer
from looksay.metrics.diversity import diversity, weaknesses
from looksay.metrics.scores import HumanAgreement
from looksay.text.tokenizer import tokenize

TOKENIZER = "coco-caption (PTB 3.4.1, without its punctuation)"


@dataclass(frozen=True)
class Evaluation:
    """Captions with all their scores."""

    facts: dict[str, Any]  # names of the model, the data set and the split
    records: list[Record]
    captions: list[str]  # a caption of each image
    scores: dict[str, float]  # not multiplied by 100
    human_agreement: HumanAgreement  # scores of the references against each other
    diversity: dict[str, float]  # see `looksay.metrics.diversity`
    human_diversity: dict[str, float]  # of the first reference of each image that has several, against the others
    by_image: dict[str, list[float]]  # ROUGE-L and CIDEr-D of each caption
    decoding: DecodingOptions | None = None  # all options of decoding, if a model generated the captions
    problems: list[str] = field(
        default_factory=list
    )  # images that were not scored and why, and `weaknesses` of the captions

    @property
    def references(self) -> tuple[int, int]:
        """The smallest and the largest number of references of an image."""
        counts = [len(record.references) for record in self.records]
        return min(counts), max(counts)

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``scores.json``; undefined scores are null."""
        human = self.human_agreement
        return {
            **self.facts,
            **({"decoding": asdict(self.decoding)} if self.decoding else {}),
            "images": len(self.records),
            "references": list(self.references),
            "tokenizer": TOKENIZER,
            "scores": _defined(self.scores),
            "human_agreement": {"images": human.images, "references": human.references, **_defined(human.scores)},
            "diversity": _defined(self.diversity),
            "human_diversity": _defined(self.human_diversity),
            "problems": self.problems,
        }


def _defined(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 6) for name, value in scores.items()}


def score_captions(
    records: Sequence[Record],
    captions: Sequence[str],
    facts: dict[str, Any],
    *,
    dataset: Dataset | None = None,
    decoding: DecodingOptions | None = None,
    meteor: bool = False,
    spice: bool = False,
    problems: Sequence[str] = (),
) -> Evaluation:
    """Score one caption of each image; for the arguments and errors see `Evaluation` and `looksay.metrics.score`.

    Novel captions are those that are not in the train split of `dataset`, unless `facts` names that split.
    """
    scorer = Scorer([record.references for record in records], meteor=meteor, spice=spice)
    train = dataset.records if dataset and facts["split"] not in ("train", ALL) else ()
    training = [tokenize(caption) for record in train if record.split == "train" for caption in record.references]
    several = [image for image in scorer.references if len(image) > 1]
    human_captions, others = [image[0] for image in several], [image[1:] for image in several]
    own_diversity = diversity([tokenize(caption) for caption in captions], scorer.references, training)
    return Evaluation(
        facts=facts,
        records=list(records),
        captions=list(captions),
        scores=scorer.scores(captions),
        human_agreement=scorer.human_agreement,
        diversity=own_diversity,
        human_diversity=diversity(human_captions, others, training) if several else {},
        by_image=scorer.image_scores(captions),
        decoding=decoding,
        problems=[*problems, *weaknesses(own_diversity, len(captions))],
    )
