"""BLEU-1 to BLEU-4 of a corpus (Papineni et al. 2002), equal to coco-caption's."""

from __future__ import annotations

import math

import numpy as np

from looksay.metrics.ngrams import LONGEST, NGrams, References

_TINY, _SMALL = 1e-15, 1e-9  # coco-caption adds these to avoid a division by zero


class Bleu:
    """BLEU against a fixed set of references.

    Notes
    -----
    As ``pycocoevalcap`` 1.2 computes it: n-gram counts are clipped by the largest count in any one reference and
    summed over the corpus; BLEU-n is the geometric mean of the precisions 1 to n; the brevity penalty compares the
    corpus with the reference closest in length to each caption, the shorter one in a tie. There is no smoothing.
    """

    def __init__(self, references: References) -> None:
        self._references = references

    def scores(self, said: NGrams) -> list[float]:
        """Score one caption for each image, in the order of the references, as one corpus.

        Returns
        -------
        list of float
            BLEU-1, BLEU-2, BLEU-3 and BLEU-4, 0 to 1.
        """
        rows, theirs = self._references.matches(said, np.arange(len(said.lengths)))
        most = np.zeros(len(said.hits), dtype=np.int64)
        np.maximum.at(most, rows, self._references.ngrams.hits[theirs])
        correct = np.bincount(said.n[said.kind], np.minimum(said.hits, most), minlength=LONGEST)
        guessed = [int(np.maximum(0, said.lengths - n).sum()) for n in range(LONGEST)]

        ratio = (int(said.lengths.sum()) + _TINY) / (self._closest_length(said) + _SMALL)
        penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
        scores, product = [], 1.0
        for n in range(LONGEST):
            product *= (float(correct[n]) + _TINY) / (guessed[n] + _SMALL)
            scores.append(product ** (1 / (n + 1)) * penalty)
        return scores

    def _closest_length(self, said: NGrams) -> int:
        """Return the length of each caption's closest reference, summed over the corpus."""
        others = self._references.ngrams.lengths
        away = np.abs(others - said.lengths[self._references.image])
        order = np.lexsort((others, away, self._references.image))
        return int(others[order[self._references.first]].sum())
