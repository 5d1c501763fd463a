"""CIDEr-D (Vedantam et al. 2015), equal to coco-caption's, which calls it CIDEr."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from looksay.metrics.ngrams import LONGEST, NGrams, References

_SIGMA = 6.0
_Floats = NDArray[np.float64]


class CiderD:
    """CIDEr-D against a fixed set of references, whose n-gram weights are computed once.

    Words may be strings or integer ids, so the same scores serve as a reward in training.

    Parameters
    ----------
    references : References
        The document frequencies come from these, as in coco-caption.

    Notes
    -----
    As ``pycocoevalcap`` 1.2 computes it: n = 1 to 4, raw counts times ``log(images) - log(images with the n-gram)``,
    a prediction's weight clipped to the reference's, a Gaussian penalty (sigma 6) on the difference in bigrams, mean
    over references and n, times 10. With one image every weight is 0 and so is the score.
    """

    def __init__(self, references: References) -> None:
        self._references = references
        self._log_images = math.log(len(references.sizes))
        self._rarity = self._log_images - np.log(references.images_with())
        self._weights = references.ngrams.hits * self._rarity[references.ngrams.kind]
        self._norms = _norms(references.ngrams, self._weights)

    def image_scores(self, said: NGrams, images: Sequence[int] | None = None) -> list[float]:
        """Score captions, each against the references of its image; 0 to 10.

        Parameters
        ----------
        said : NGrams
            Captions as ``references.count`` counts them.
        images : sequence of int, optional
            The places of their images among the references; by default one caption for each image, in order.
        """
        references = self._references
        places = np.arange(len(said.lengths)) if images is None else np.asarray(images)
        rarity = np.append(self._rarity, self._log_images)[references.kinds(said)]  # -1, the last, for new n-grams
        weights = said.hits.astype(np.float64) * rarity[said.kind]

        # A pair is a caption and one reference of its image; `pair` numbers them, caption by caption.
        sizes = references.sizes[places]
        caption = np.repeat(np.arange(len(places)), sizes)
        first = np.cumsum(sizes) - sizes
        reference = np.arange(len(caption)) + np.repeat(references.first[places] - first, sizes)

        rows, theirs = references.matches(said, places)
        within = references.ngrams.caption[theirs] - references.first[places[said.caption[rows]]]
        pair = first[said.caption[rows]] + within
        shared = np.minimum(weights[rows], self._weights[theirs]) * self._weights[theirs]
        cell = pair * LONGEST + said.n[said.kind[rows]]
        products = np.bincount(cell, shared, minlength=len(caption) * LONGEST).reshape(-1, LONGEST)

        norms = _norms(said, weights)[caption] * self._norms[reference]
        cosines = np.divide(products, norms, out=np.zeros(products.shape), where=norms > 0)
        bigrams = [
            np.maximum(0, lengths - 1) for lengths in (said.lengths[caption], references.ngrams.lengths[reference])
        ]
        penalty = np.exp(-((bigrams[0] - bigrams[1]) ** 2) / (2 * _SIGMA**2))
        totals = np.bincount(caption, cosines.sum(axis=1) * penalty, minlength=len(places))
        scores: list[float] = (10 * totals / LONGEST / sizes).tolist()
        return scores


def _norms(ngrams: NGrams, weights: _Floats) -> _Floats:
    """Return the norm of each caption's weights for each n: (captions, 4)."""
    cell = ngrams.caption * LONGEST + ngrams.n[ngrams.kind]
    squares = np.bincount(cell, weights * weights, minlength=len(ngrams.lengths) * LONGEST)
    norms: _Floats = np.sqrt(squares).reshape(-1, LONGEST)
    return norms
