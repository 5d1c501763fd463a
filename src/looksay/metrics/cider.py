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

    Tokens may be strings or integer ids, so that the score can be a reward in training. The references are also the
    source of document frequencies, as in coco-caption.

    Notes
    -----
    As in ``pycocoevalcap`` 1.2: n = 1 to 4, raw counts times ``log(images) - log(images with the n-gram)``,
    a prediction's weight clipped to the reference's, a Gaussian penalty (sigma 6) on the difference in bigrams, mean
    over references and n, times 10. With one image every weight is 0 and so is the score.
    """

    def __init__(self, references: References) -> None:
        self._references = references
        self._log_images = math.log(len(references.sizes))
        self._rarity = self._log_images - np.log(references.images_with())
        self._weights = references.ngrams.hits * self._rarity[references.ngrams.kind]
        self._norms = _norms(references.ngrams, self._weights)

    def image_scores(self, captions: NGrams, images: Sequence[int] | None = None) -> list[float]:
        """Return the score of each caption (from ``references.count``) against the references of its image, 0 to 10.

        `images` holds the index of each caption's image; by default there is one caption for each image, in order.
        """
        references = self._references
        indices = np.arange(len(captions.lengths)) if images is None else np.asarray(images)
        rarity = np.append(self._rarity, self._log_images)[references.kinds(captions)]  # index -1: new n-grams
        weights = captions.hits.astype(np.float64) * rarity[captions.kind]

        # A pair is a caption and a reference of its image; pairs are numbered caption by caption.
        sizes = references.sizes[indices]
        caption = np.repeat(np.arange(len(indices)), sizes)
        first = np.cumsum(sizes) - sizes
        reference = np.arange(len(caption)) + np.repeat(references.first[indices] - first, sizes)

        rows, reference_rows = references.matches(captions, indices)
        offset = references.ngrams.caption[reference_rows] - references.first[indices[captions.caption[rows]]]
        pair = first[captions.caption[rows]] + offset
        shared = np.minimum(weights[rows], self._weights[reference_rows]) * self._weights[reference_rows]
        cell = pair * LONGEST + captions.n[captions.kind[rows]]
        products = np.bincount(cell, shared, minlength=len(caption) * LONGEST).reshape(-1, LONGEST)

        norms = _norms(captions, weights)[caption] * self._norms[reference]
        cosines = np.divide(products, norms, out=np.zeros(products.shape), where=norms > 0)
        bigrams = np.maximum(0, captions.lengths - 1)[caption]
        reference_bigrams = np.maximum(0, references.ngrams.lengths - 1)[reference]
        penalty = np.exp(-((bigrams - reference_bigrams) ** 2) / (2 * _SIGMA**2))
        totals = np.bincount(caption, cosines.sum(axis=1) * penalty, minlength=len(indices))
        scores: list[float] = (10 * totals / LONGEST / sizes).tolist()
        return scores


def _norms(ngrams: NGrams, weights: _Floats) -> _Floats:
    """Return the norms of the weights, shape (captions, 4)."""
    cell = ngrams.caption * LONGEST + ngrams.n[ngrams.kind]
    squares = np.bincount(cell, weights * weights, minlength=len(ngrams.lengths) * LONGEST)
    norms: _Floats = np.sqrt(squares).reshape(-1, LONGEST)
    return norms
