"""Captions and references as people write them → every score."""

from __future__ import annotations

from collections.abc import Sequence

from looksay.errors import DataError
from looksay.metrics.bleu import bleu
from looksay.metrics.cider import CiderD
from looksay.words import tokenize


def score(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Score captions as coco-caption does.

    Parameters
    ----------
    predictions : sequence of str
        One caption for each image.
    references : sequence of sequence of str
        For each image, the captions that people wrote.

    Returns
    -------
    dict
        ``BLEU-1`` to ``BLEU-4`` and ``CIDEr-D``, on the scale of 1 (papers write them times 100).

    Raises
    ------
    DataError
        If the two differ in length, if there is nothing to score, or if an image has no reference.
    """
    if len(predictions) != len(references):
        raise DataError(f"{len(predictions)} captions cannot be scored against {len(references)} sets of references")
    if any(isinstance(captions, str) for captions in (predictions, *references)):
        raise DataError("references are a list of captions for each image, even where there is one caption")
    if not predictions or not all(references):
        raise DataError("there is nothing to score: every image needs a caption and at least one reference")
    said = [tokenize(caption) for caption in predictions]
    wanted = [[tokenize(caption) for caption in captions] for captions in references]
    scores = {f"BLEU-{n}": value for n, value in enumerate(bleu(said, wanted), 1)}
    return {**scores, "CIDEr-D": CiderD(wanted).score(said)}
