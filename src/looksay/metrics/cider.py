"""CIDEr-D (Vedantam et al. 2015), equal to coco-caption's, which calls it CIDEr."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from looksay.metrics import ngrams

_SIGMA = 6.0


@dataclass(frozen=True)
class _Vector:
    """A caption's tf-idf weights, with their norm for each n and its length in bigrams."""

    weights: dict[tuple[str, ...], float]
    norms: tuple[float, ...]
    bigrams: int


class CiderD:
    """CIDEr-D against a fixed set of references, whose n-gram weights are computed once.

    Parameters
    ----------
    references : for each image, its references, each a sequence of words
        The document frequencies come from these, as in coco-caption.

    Notes
    -----
    As ``pycocoevalcap`` 1.2 computes it: n = 1 to 4, raw counts times ``log(images) - log(images with the n-gram)``,
    a prediction's weight clipped to the reference's, a Gaussian penalty (sigma 6) on the difference in bigrams, mean
    over references and n, times 10. With one image every weight is 0 and so is the score.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[str]]]) -> None:
        counts = [[ngrams.count(words) for words in others] for others in references]
        self._frequency: Counter[tuple[str, ...]] = Counter()
        for others in counts:
            self._frequency.update(set().union(*others))
        self._log_images = math.log(len(references))
        self._references = [[self._vector(count) for count in others] for others in counts]

    def image_scores(self, predictions: Sequence[Sequence[str]]) -> list[float]:
        """Score one caption for each image, in the order of the references."""
        return [self._similarity(words, others) for words, others in zip(predictions, self._references, strict=True)]

    def score(self, predictions: Sequence[Sequence[str]]) -> float:
        """Return the mean of `image_scores`; 1.0 is written as 100 in papers."""
        scores = self.image_scores(predictions)
        return sum(scores) / len(scores)

    def _vector(self, count: ngrams.NGrams) -> _Vector:
        weights = {
            ngram: hits * (self._log_images - math.log(max(1, self._frequency[ngram]))) for ngram, hits in count.items()
        }
        squares = [0.0] * ngrams.LONGEST
        for ngram, weight in weights.items():
            squares[len(ngram) - 1] += weight**2
        bigrams = sum(hits for ngram, hits in count.items() if len(ngram) == 2)
        return _Vector(weights, tuple(math.sqrt(square) for square in squares), bigrams)

    def _similarity(self, words: Sequence[str], references: Sequence[_Vector]) -> float:
        own = self._vector(ngrams.count(words))
        total = 0.0
        for other in references:
            products = [0.0] * ngrams.LONGEST
            for ngram, weight in own.weights.items():
                shared = other.weights.get(ngram, 0.0)
                products[len(ngram) - 1] += min(weight, shared) * shared
            penalty = math.exp(-((own.bigrams - other.bigrams) ** 2) / (2 * _SIGMA**2))
            for n, product in enumerate(products):
                norm = own.norms[n] * other.norms[n]
                total += penalty * (product / norm if norm else product)
        return 10 * total / ngrams.LONGEST / len(references)
