"""All scores of captions against references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from looksay.errors import DataError
from looksay.metrics.bleu import Bleu
from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import Caption, References
from looksay.metrics.rouge import RougeL
from looksay.text.tokenizer import tokenize

UNDEFINED = float("nan")


class HumanAgreement(NamedTuple):
    """Scores of references against the others, how many others there were at least, and the number of images."""

    scores: dict[str, float]
    references: int
    images: int


class Scorer:
    """Scores captions of the same images repeatedly; their references are tokenised and counted once.

    Parameters
    ----------
    references : for each image, its reference captions; as an attribute, their tokens
    meteor, spice : bool
        Add these scores (they need ``looksay[metrics]`` and Java).

    Raises
    ------
    DataError
        If there is no image, or if one has no reference.
    """

    def __init__(self, references: Sequence[Sequence[str]], *, meteor: bool = False, spice: bool = False) -> None:
        check_references(references)
        self.references = [[tokenize(caption) for caption in captions] for captions in references]
        self._metrics = _Metrics(self.references, meteor=meteor, spice=spice)

    def scores(self, predictions: Sequence[str]) -> dict[str, float]:
        """Score one caption for each image, in the order of the references; see `score`."""
        return self._metrics.scores(self._tokenize(predictions))

    def image_scores(self, predictions: Sequence[str]) -> dict[str, list[float]]:
        """Return ``ROUGE-L`` and ``CIDEr-D`` of each caption."""
        return self._metrics.image_scores(self._tokenize(predictions))

    @cached_property
    def human_agreement(self) -> HumanAgreement:
        """Scores of the references against the other references of their image; none if no image has two.

        Caption 0 of every image is scored against the others, then caption 1, and so on up to the smallest number of
        references; the scores are averaged. Images with one reference are left out. These captions have one reference
        fewer than a model's: with more references BLEU and ROUGE-L increase, and CIDEr-D decreases.
        """
        images = [captions for captions in self.references if len(captions) > 1]
        if not images:
            return HumanAgreement({}, 0, 0)
        rounds = min(map(len, images))
        means: dict[str, float] = {}
        for index in range(rounds):
            others = [[*image[:index], *image[index + 1 :]] for image in images]
            metrics = _Metrics(others, meteor=self._metrics.meteor, spice=self._metrics.spice)
            for name, value in metrics.scores([image[index] for image in images]).items():
                means[name] = means.get(name, 0.0) + value / rounds
        return HumanAgreement(means, rounds - 1, len(images))

    def _tokenize(self, predictions: Sequence[str]) -> list[list[str]]:
        check_predictions(predictions, len(self.references))
        return [tokenize(caption) for caption in predictions]


def check_references(references: Sequence[Sequence[str]]) -> None:
    """Raise `DataError` unless there is a list of captions for every image."""
    if isinstance(references, str | Mapping):
        raise DataError("references must be a list with the captions of each image, in order")
    if any(isinstance(captions, str) for captions in references):
        raise DataError("references must be a list of captions for each image, even if it has one caption")
    if not references or not all(references):
        raise DataError("nothing to score: every image needs at least one reference")
    for caption in (caption for captions in references for caption in captions):
        if not isinstance(caption, str):
            raise DataError(f"reference {caption!r} is not a text")


def check_predictions(predictions: Sequence[str], images: int) -> None:
    """Raise `DataError` unless there is one caption for every image."""
    if isinstance(predictions, str):
        raise DataError("captions must be a list, even if there is one caption")
    if len(predictions) != images:
        raise DataError(f"{len(predictions)} captions cannot be scored against {images} sets of references")
    for caption in predictions:
        if not isinstance(caption, str):
            raise DataError(f"caption {caption!r} is not a text; pass one for each image")


class _Metrics:
    """All metrics of one set of tokenised references."""

    def __init__(self, references: Sequence[Sequence[Caption]], *, meteor: bool, spice: bool) -> None:
        self.meteor, self.spice = meteor, spice
        self._tokens = references
        self._references = References(references)
        self._bleu = Bleu(self._references)
        self._rouge = RougeL(references)
        self._cider = CiderD(self._references)

    def scores(self, captions: Sequence[Caption]) -> dict[str, float]:
        bleu = self._bleu.scores(self._references.count(captions))
        scores = {f"BLEU-{n}": value for n, value in enumerate(bleu, 1)}
        if self.meteor or self.spice:
            from looksay.metrics import java
        if self.meteor:
            scores["METEOR"] = java.meteor_process().scores(captions, self._tokens)[0]
        scores |= {name: sum(values) / len(values) for name, values in self.image_scores(captions).items()}
        if self.spice:
            scores["SPICE"] = java.spice(captions, self._tokens)[0]
        return scores

    def image_scores(self, captions: Sequence[Caption]) -> dict[str, list[float]]:
        is_single = len(self._tokens) == 1
        return {
            "ROUGE-L": self._rouge.image_scores(captions),
            "CIDEr-D": [UNDEFINED] if is_single else self._cider.image_scores(self._references.count(captions)),
        }


def score(
    predictions: Sequence[str] | Mapping[str, str],
    references: Sequence[Sequence[str]] | Mapping[str, Sequence[str]],
    *,
    meteor: bool = False,
    spice: bool = False,
) -> dict[str, float]:
    """Score captions as coco-caption does.

    Parameters
    ----------
    predictions : sequence of str, or dict of image to str
        One caption for each image.
    references : sequence of sequence of str, or dict of image to sequence of str
        Reference captions of each image.
    meteor, spice : bool
        Add these scores (they need ``looksay[metrics]`` and Java).

    Returns
    -------
    dict
        ``BLEU-1`` to ``BLEU-4``, ``METEOR``, ``ROUGE-L``, ``CIDEr-D`` and ``SPICE``, not multiplied by 100. CIDEr-D of
        a single image is ``nan``: its weights compare images, so it is undefined (coco-caption returns 0).

    Raises
    ------
    DataError
        If predictions and references do not match, if there is nothing to score, or if an image has no reference.
    MissingExtra, MetricError
        If METEOR or SPICE cannot run.
    """
    if isinstance(predictions, Mapping) and isinstance(references, Mapping):
        if unmatched := predictions.keys() ^ references.keys():
            raise DataError(
                f"{len(unmatched)} images have a caption or references but not both, such as {next(iter(unmatched))!r}"
            )
        images = list(references)
        predictions, references = [predictions[image] for image in images], [references[image] for image in images]
    if isinstance(predictions, Mapping) or isinstance(references, Mapping):
        raise DataError("captions and references must be both lists, or both dicts by image")
    return Scorer(references, meteor=meteor, spice=spice).scores(predictions)
