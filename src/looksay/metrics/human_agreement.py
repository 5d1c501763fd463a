"""Human agreement: reference captions scored against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from looksay.metrics.ngrams import Caption

ScoreFunction = Callable[[Sequence[Caption], Sequence[Sequence[Caption]]], dict[str, float]]


class HumanAgreement(NamedTuple):
    """Scores, the smallest number of references they are based on, and the number of images."""

    scores: dict[str, float]
    references: int
    images: int


def human_agreement(references: Sequence[Sequence[Caption]], score: ScoreFunction) -> HumanAgreement:
    """Score reference captions against the other references of their image.

    Caption 0 of every image is scored against the others, then caption 1, and so on up to the smallest number of
    references; the scores are averaged. Images with one reference are left out. These captions have one reference fewer
    than a model's: with more references BLEU and ROUGE-L increase, and CIDEr-D decreases.

    Parameters
    ----------
    references : for each image, the tokens of its references
    score : callable
        Returns scores of captions against references; it is not called if no image has two references.
    """
    images = [captions for captions in references if len(captions) > 1]
    if not images:
        return HumanAgreement({}, 0, 0)
    rounds = min(map(len, images))
    means: dict[str, float] = {}
    for index in range(rounds):
        captions = [image[index] for image in images]
        others = [[*image[:index], *image[index + 1 :]] for image in images]
        for name, value in score(captions, others).items():
            means[name] = means.get(name, 0.0) + value / rounds
    return HumanAgreement(means, rounds - 1, len(images))
