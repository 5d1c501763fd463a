"""How well people agree with each other: the line to read a model's scores against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from looksay.metrics.ngrams import Caption

Scoring = Callable[[Sequence[Caption], Sequence[Sequence[Caption]]], dict[str, float]]


class HumanAgreement(NamedTuple):
    """Human agreement: scores, the smallest number of references they were scored against, and how many images that is of."""

    scores: dict[str, float]
    references: int
    images: int


def agreement(references: Sequence[Sequence[Caption]], scoring: Scoring) -> HumanAgreement:
    """Score people's captions against the other captions of the same image.

    Caption 0 of every image is scored against the others, then caption 1, and so on as far as every image has one;
    the scores are averaged. Images with one reference are left out. Such a caption has one reference fewer than a
    model's: with more references BLEU and ROUGE-L rise, and CIDEr-D falls.

    Parameters
    ----------
    references : for each image, its references, each a sequence of words
    scoring : callable
        Gives the scores of captions against references.

    Returns
    -------
    HumanAgreement
        Without scores where no image has two references.
    """
    several = [others for others in references if len(others) > 1]
    if not several:
        return HumanAgreement({}, 0, 0)
    rounds = min(map(len, several))
    total: dict[str, float] = {}
    for left_out in range(rounds):
        said = [others[left_out] for others in several]
        rest = [[*others[:left_out], *others[left_out + 1 :]] for others in several]
        for name, value in scoring(said, rest).items():
            total[name] = total.get(name, 0.0) + value / rounds
    return HumanAgreement(total, rounds - 1, len(several))
