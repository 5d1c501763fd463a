"""What a drawn caption is worth: CIDEr-D against people's captions, over word ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from looksay.metrics.cider import CiderD
from looksay.metrics.ngrams import References
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary


class Reward:
    """CIDEr-D, with ``<end>`` as a word of every caption.

    Without it, captions that break off score better than whole ones ("SacreEOS", arXiv 2305.12254), and a third of them
    come to end badly (ruotianluo/self-critical.pytorch, issue 283).

    Parameters
    ----------
    references : for each image, its captions, each a sequence of word ids without ``<end>``
        The rarity of n-grams is that in these.
    vocabulary : Vocabulary
    """

    def __init__(self, references: Sequence[Sequence[Sequence[int]]], vocabulary: Vocabulary) -> None:
        self._references = References([[[*caption, vocabulary.end] for caption in all_] for all_ in references])
        self._cider = CiderD(self._references)
        self._unknown = vocabulary.unk

    def __call__(self, said: Tensor, images: Sequence[int]) -> Tensor:
        """Score drawn captions.

        Parameters
        ----------
        said : Tensor of int64, shape (rows, steps)
            The words and ``<end>``, then `PADDING`; the captions of an image stand together. One that ran to its
            limit has no ``<end>``, and is worth less for it. ``<unk>`` is worth nothing.
        images : sequence of int
            The places of the images among the references.

        Returns
        -------
        Tensor of float32, shape (rows,)
            0 to 10, on the device of `said`.
        """
        captions = [[word if word != self._unknown else -1 for word in row if word != PADDING] for row in said.tolist()]
        each = np.repeat(np.asarray(images), len(captions) // len(images))
        scores = self._cider.image_scores(self._references.count(captions), each.tolist())
        return torch.tensor(scores, dtype=torch.float32, device=said.device)
