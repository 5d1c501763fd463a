"""BLEU-1 to BLEU-4 of a corpus (Papineni et al. 2002), equal to coco-caption's."""

from __future__ import annotations

import math
from collections.abc import Sequence

from looksay.metrics import ngrams

_TINY, _SMALL = 1e-15, 1e-9  # coco-caption adds these to avoid a division by zero


def bleu(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """Score captions as one corpus.

    Parameters
    ----------
    predictions : sequence of captions, each a sequence of words
    references : for each prediction, its references, each a sequence of words

    Returns
    -------
    list of float
        BLEU-1, BLEU-2, BLEU-3 and BLEU-4, 0 to 1.

    Notes
    -----
    As ``pycocoevalcap`` 1.2 computes it: n-gram counts are clipped by the largest count in any one reference and
    summed over the corpus; BLEU-n is the geometric mean of the precisions 1 to n; the brevity penalty compares the
    corpus with the reference closest in length to each caption, the shorter one in a tie. There is no smoothing.
    """
    correct, guessed = [0] * ngrams.LONGEST, [0] * ngrams.LONGEST
    length = reference_length = 0
    for words, others in zip(predictions, references, strict=True):
        length += len(words)
        reference_length += min((abs(len(other) - len(words)), len(other)) for other in others)[1]
        most = ngrams.count([])
        for other in others:
            most |= ngrams.count(other)
        for ngram, hits in (ngrams.count(words) & most).items():
            correct[len(ngram) - 1] += hits
        for n in range(ngrams.LONGEST):
            guessed[n] += max(0, len(words) - n)

    ratio = (length + _TINY) / (reference_length + _SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for n in range(ngrams.LONGEST):
        product *= (correct[n] + _TINY) / (guessed[n] + _SMALL)
        scores.append(product ** (1 / (n + 1)) * penalty)
    return scores
