"""The reward of self-critical training (SCST): CIDEr-D and word precision, over token ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.metrics.word_precision import WordPrecision
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary


class Reward:
    """CIDEr-D, plus `word_precision` times that of `WordPrecision`, with ``<end>`` as a word of every caption.

    With CIDEr-D alone a wrong word costs little more than a missing one.

    Without ``<end>``, truncated captions score higher than whole ones ("SacreEOS", arXiv 2305.12254), and a third of
    the captions end badly after training (ruotianluo/self-critical.pytorch, issue 283). The document frequencies come
    from `references`, the token ids of each image's captions without ``<end>``.
    """

    def __init__(
        self, references: Sequence[Sequence[Sequence[int]]], vocabulary: Vocabulary, word_precision: float = 0.0
    ) -> None:
        complete = [[[*ids, vocabulary.end] for ids in captions] for captions in references]
        self._references = References(complete)
        self._cider = CiderD(self._references)
        self._precision, self._precision_weight = WordPrecision(complete), word_precision
        self._unk = vocabulary.unk

    def __call__(self, sampled: NDArray[np.int64], images: Sequence[int]) -> NDArray[np.float32]:
        """Return the scores (rows,) of sampled captions (rows, steps): words and ``<end>``, then `PADDING`.

        CIDEr-D is 0 to 10, word precision 0 to 1. The captions of an image are adjacent. `images` are the
        indices of the images among the references. ``<unk>`` matches nothing.
        """
        captions = [
            [token if token != self._unk else -1 for token in row if token != PADDING] for row in sampled.tolist()
        ]
        image_of_row = np.repeat(np.asarray(images), len(captions) // len(images)).tolist()
        scores = self._cider.image_scores(self._references.count(captions), image_of_row)
        rewards = np.asarray(scores, dtype=np.float32)
        if self._precision_weight:
            precisions = self._precision.image_scores(captions, image_of_row)
            rewards += self._precision_weight * np.asarray(precisions, dtype=np.float32)
        return rewards
