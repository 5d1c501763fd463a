"""From word ids to vectors, and from a decoder's output back to words."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class WordEmbedding(nn.Module):
    """The vectors of words.

    Parameters
    ----------
    vocabulary : int
        Number of words.
    word_size : int
        Features of a word's own vector; where it is not `size`, the vectors are projected.
    size : int
        Features of what the decoder reads.
    dropout : float
    vectors : ndarray of float32, shape (vocabulary, word_size), optional
        What the vectors start from (GloVe, say); by default they are random.
    trainable : bool
        Whether the vectors learn.
    """

    def __init__(
        self,
        vocabulary: int,
        word_size: int,
        size: int,
        dropout: float,
        vectors: NDArray[np.float32] | None = None,
        *,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, word_size)
        if vectors is not None:
            self.table.weight.data.copy_(torch.from_numpy(vectors))
        self.table.requires_grad_(trainable)
        self.projection = nn.Identity() if word_size == size else nn.Linear(word_size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """Return vectors (…, size) of word ids (…)."""
        vectors: Tensor = self.dropout(self.projection(self.table(ids)))
        return vectors


def output_head(size: int, vocabulary: int, dropout: float) -> nn.Sequential:
    """Return the layers that score words from a decoder's output; the last one can share its weights with the words'.

    Without the norm the first hundred steps learn little more than how frequent each word is.
    """
    return nn.Sequential(nn.LayerNorm(size), nn.Dropout(dropout), nn.Linear(size, vocabulary))
