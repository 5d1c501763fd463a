"""Captions and references as people write them → every score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from looksay.errors import DataError
from looksay.metrics import java
from looksay.metrics.bleu import Bleu
from looksay.metrics.cider import CiderD
from looksay.metrics.human_agreement import HumanAgreement, agreement
from looksay.metrics.ngrams import Caption, References
from looksay.metrics.rouge import RougeL
from looksay.text.tokenizer import tokenize

UNDEFINED = float("nan")


class Scorer:
    """Scores captions of the same images again and again; their references are tokenised and counted once.

    Parameters
    ----------
    references : sequence of sequence of str
        For each image, the captions that people wrote.
    meteor, spice : bool
        Also score with these (they need ``looksay[metrics]`` and Java).

    Attributes
    ----------
    references : for each image, the words of its references

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
        return self._metrics.scores(self._words(predictions))

    def image_scores(self, predictions: Sequence[str]) -> dict[str, list[float]]:
        """Score each caption alone: ``ROUGE-L`` and ``CIDEr-D``, a number for each image."""
        return self._metrics.image_scores(self._words(predictions))

    @cached_property
    def people(self) -> HumanAgreement:
        """How people's own captions score against the others; see `agreement`."""
        metrics = self._metrics
        return agreement(
            self.references,
            lambda said, rest: _Metrics(rest, meteor=metrics.meteor, spice=metrics.spice).scores(said),
        )

    def _words(self, predictions: Sequence[str]) -> list[list[str]]:
        check_predictions(predictions, len(self.references))
        return [tokenize(caption) for caption in predictions]


def check_references(references: Sequence[Sequence[str]]) -> None:
    """See that there is a list of captions for every image.

    Raises
    ------
    DataError
        If there is not.
    """
    if isinstance(references, str | Mapping):
        raise DataError("references are a list with the captions of each image, in order")
    if any(isinstance(captions, str) for captions in references):
        raise DataError("references are a list of captions for each image, even where there is one caption")
    if not references or not all(references):
        raise DataError("there is nothing to score: every image needs at least one reference")
    for caption in (caption for captions in references for caption in captions):
        if not isinstance(caption, str):
            raise DataError(f"a reference is a text; got {caption!r}")


def check_predictions(predictions: Sequence[str], images: int) -> None:
    """See that there is one caption for every image.

    Raises
    ------
    DataError
        If there is not.
    """
    if isinstance(predictions, str):
        raise DataError("captions are a list, even where there is one")
    if len(predictions) != images:
        raise DataError(f"{len(predictions)} captions cannot be scored against {images} sets of references")
    for caption in predictions:
        if not isinstance(caption, str):
            raise DataError(f"each image has one caption, a text; got {caption!r}")


class _Metrics:
    """The metrics of one set of references, which are counted once for all."""

    def __init__(self, references: Sequence[Sequence[Caption]], *, meteor: bool, spice: bool) -> None:
        self.meteor = meteor
        self.spice = spice
        self._words = references
        self._references = References(references)
        self._bleu = Bleu(self._references)
        self._rouge = RougeL(references)
        self._cider = CiderD(self._references)

    def scores(self, said: Sequence[Caption]) -> dict[str, float]:
        scores = {f"BLEU-{n}": value for n, value in enumerate(self._bleu.scores(self._references.count(said)), 1)}
        if self.meteor:
            scores["METEOR"] = java.meteor_process().scores(said, self._words)[0]
        scores |= {name: sum(values) / len(values) for name, values in self.image_scores(said).items()}
        if self.spice:
            scores["SPICE"] = java.spice(said, self._words)[0]
        return scores

    def image_scores(self, said: Sequence[Caption]) -> dict[str, list[float]]:
        alone = len(self._words) == 1
        return {
            "ROUGE-L": self._rouge.image_scores(said),
            "CIDEr-D": [UNDEFINED] if alone else self._cider.image_scores(self._references.count(said)),
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
        For each image, the captions that people wrote.
    meteor, spice : bool
        Also score with these (they need ``looksay[metrics]`` and Java).

    Returns
    -------
    dict
        ``BLEU-1`` to ``BLEU-4``, ``METEOR``, ``ROUGE-L``, ``CIDEr-D`` and ``SPICE``, on the scale of 1 (papers write
        them times 100). CIDEr-D of one image alone is ``nan``: its weights come from comparing images, so it is
        undefined (coco-caption says 0).

    Raises
    ------
    DataError
        If the two do not fit together, if there is nothing to score, or if an image has no reference.
    MissingExtra, MetricError
        If METEOR or SPICE cannot run.
    """
    if isinstance(predictions, Mapping) and isinstance(references, Mapping):
        if odd := predictions.keys() ^ references.keys():
            raise DataError(
                f"images with a caption or references but not both: {len(odd)}, {next(iter(odd))!r} for one"
            )
        images = list(references)
        return score([predictions[i] for i in images], [references[i] for i in images], meteor=meteor, spice=spice)
    if isinstance(predictions, Mapping) or isinstance(references, Mapping):
        raise DataError("captions and references are both lists, or both dicts by image")
    return Scorer(references, meteor=meteor, spice=spice).scores(predictions)
