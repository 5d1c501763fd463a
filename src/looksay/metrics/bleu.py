"""BLEU-1 to BLEU-4 of a corpus (Papineni et al. 2002), equal to coco-caption's."""

from __future__ import annotations

import math

import numpy as np

from looksay.metrics.ngrams import LONGEST, NGrams, References

_TINY, _SMALL = 1e-15, 1e-9  # as in coco-caption, against division by zero


class Bleu:
    """BLEU against a fixed set of references.

    Notes
    -----
    As in ``pycocoevalcap`` 1.2: n-gram counts are clipped to the largest count in any reference and summed over the
    corpus; BLEU-n is the geometric mean of the precisions 1 to n; the brevity penalty uses the reference closest in
    length to each caption, the shorter one in a tie. There is no smoothing.
    """

    def __init__(self, references: References) -> None:
        self._references = references

    def scores(self, captions: NGrams) -> list[float]:
        """Return BLEU-1 to BLEU-4, 0 to 1, of a corpus with one caption for each image, in the order of references."""
        rows, reference_rows = self._references.matches(captions, np.arange(len(captions.lengths)))
        max_counts = np.zeros(len(captions.hits), dtype=np.int64)
        np.maximum.at(max_counts, rows, self._references.ngrams.hits[reference_rows])
        correct = np.bincount(captions.n[captions.kind], np.minimum(captions.hits, max_counts), minlength=LONGEST)
        totals = [int(np.maximum(0, captions.lengths - n).sum()) for n in range(LONGEST)]

        ratio = (int(captions.lengths.sum()) + _TINY) / (self._closest_length(captions) + _SMALL)
        penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
        scores, product = [], 1.0
        for n in range(LONGEST):
            product *= (float(correct[n]) + _TINY) / (totals[n] + _SMALL)
            scores.append(product ** (1 / (n + 1)) * penalty)
        return scores

    def _closest_length(self, captions: NGrams) -> int:
        """Return the length of each caption's closest reference, summed over the corpus."""
        lengths = self._references.ngrams.lengths
        distances = np.abs(lengths - captions.lengths[self._references.image])
        order = np.lexsort((lengths, distances, self._references.image))
        return int(lengths[order[self._references.first]].sum())
