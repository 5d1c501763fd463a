"""BLEU-1 to BLEU-4 of a corpus (Papineni et al. 2002), equal to coco-caption's."""

from __future__ import annotations

import math

import numpy as np

from looksay.metrics.ngrams import LONGEST, NGrams, References

_TINY, _SMALL = 1e-15, 1e-9  # as in coco-caption, against division by zero


def bleu(captions: NGrams, references: References) -> list[float]:
    """Return BLEU-1 to BLEU-4, 0 to 1, of a corpus with one caption (from ``references.count``) for each image.

    Notes
    -----
    As in ``pycocoevalcap`` 1.2: n-gram counts are clipped to the largest count in any reference and summed over the
    corpus; BLEU-n is the geometric mean of the precisions 1 to n; the brevity penalty uses the reference closest in
    length to each caption, the shorter one in a tie. There is no smoothing.
    """
    rows, reference_rows = references.matches(captions, np.arange(len(captions.lengths)))
    max_counts = np.zeros(len(captions.hits), dtype=np.int64)
    np.maximum.at(max_counts, rows, references.ngrams.hits[reference_rows])
    correct = np.bincount(captions.n[captions.kind], np.minimum(captions.hits, max_counts), minlength=LONGEST)
    totals = [int(np.maximum(0, captions.lengths - n).sum()) for n in range(LONGEST)]

    distances = np.abs(references.ngrams.lengths - captions.lengths[references.image])
    order = np.lexsort((references.ngrams.lengths, distances, references.image))  # the closest first, image by image
    closest_length = int(references.ngrams.lengths[order[references.first]].sum())
    ratio = (int(captions.lengths.sum()) + _TINY) / (closest_length + _SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for n in range(LONGEST):
        product *= (float(correct[n]) + _TINY) / (totals[n] + _SMALL)
        scores.append(product ** (1 / (n + 1)) * penalty)
    return scores
