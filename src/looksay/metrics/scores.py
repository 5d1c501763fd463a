"""All scores of captions against references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from looksay.errors import DataError
from looksay.metrics.bleu import bleu
from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import Caption, References
from looksay.metrics.rouge import rouge_l
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

    def __init__(self, references: Iterable[Iterable[str]], *, meteor: bool = False, spice: bool = False) -> None:
        self.references = [[tokenize(caption) for caption in image] for image in check_references(references)]
        self._metrics = _Metrics(self.references, meteor=meteor, spice=spice)

    def scores(self, predictions: Iterable[str]) -> dict[str, float]:
        """Score one caption for each image, in the order of the references; see `score`."""
        return self._metrics.scores(self._tokenize(predictions))

    def image_scores(self, predictions: Iterable[str]) -> dict[str, list[float]]:
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

    def _tokenize(self, predictions: Iterable[str]) -> list[list[str]]:
        return [tokenize(caption) for caption in check_predictions(predictions, len(self.references))]


def check_references(references: Iterable[Iterable[str]]) -> list[list[str]]:
    """Return the references as lists; raise a `DataError` unless there are captions of every image."""
    if not _is_list(references) or not all(map(_is_list, images := list(references))):
        raise DataError("references must be a list with a list of captions for each image, even if it has one caption")
    captions = [list(image) for image in images]
    if not captions or not all(captions):
        raise DataError("nothing to score: every image needs at least one reference")
    for caption in chain.from_iterable(captions):
        if not isinstance(caption, str):
            raise DataError(f"reference {caption!r} is not a text")
    return captions


def check_predictions(predictions: Iterable[str], images: int) -> list[str]:
    """Return the captions as a list; raise a `DataError` unless there is one for every image."""
    if not _is_list(predictions):
        raise DataError("captions must be a list, even if there is one caption")
    captions = list(predictions)
    if len(captions) != images:
        raise DataError(f"{len(captions)} captions cannot be scored against {images} sets of references")
    for caption in captions:
        if not isinstance(caption, str):
            raise DataError(f"caption {caption!r} is not a text; pass one for each image")
    return captions


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


class _Metrics:
    """All metrics of one set of tokenised references."""

    def __init__(self, references: Sequence[Sequence[Caption]], *, meteor: bool, spice: bool) -> None:
        self.meteor, self.spice = meteor, spice
        self._tokens = references
        self._references = References(references)
        self._cider = CiderD(self._references)

    def scores(self, captions: Sequence[Caption]) -> dict[str, float]:
        ngrams = self._references.count(captions)
        scores = {f"BLEU-{n}": value for n, value in enumerate(bleu(ngrams, self._references), 1)}
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
            "ROUGE-L": rouge_l(captions, self._tokens),
            "CIDEr-D": [UNDEFINED] if is_single else self._cider.image_scores(self._references.count(captions)),
        }


def score(
    predictions: Iterable[str] | Mapping[Any, str],
    references: Iterable[Iterable[str]] | Mapping[Any, Iterable[str]],
    *,
    meteor: bool = False,
    spice: bool = False,
) -> dict[str, float]:
    """Score captions as coco-caption does.

    Parameters
    ----------
    predictions : iterable of str, or dict of image to str
        One caption for each image.
    references : iterable of iterables of str, or dict of image to iterable of str
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
        predictions = {str(image): caption for image, caption in predictions.items()}  # an id may be a number or a text
        references = {str(image): captions for image, captions in references.items()}
        if unmatched := predictions.keys() ^ references.keys():
            raise DataError(
                f"{len(unmatched)} images have a caption or references but not both, such as {next(iter(unmatched))!r}"
            )
        images = list(references)
        predictions, references = [predictions[image] for image in images], [references[image] for image in images]
    if isinstance(predictions, Mapping) or isinstance(references, Mapping):
        raise DataError("captions and references must be both lists, or both dicts by image")
    return Scorer(references, meteor=meteor, spice=spice).scores(predictions)
