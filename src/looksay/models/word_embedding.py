"""Words in and out: the embedding and the output head."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class WordEmbedding(nn.Module):
    """Word vectors of `word_size`, projected to the decoder's `size` where it differs.

    Parameters
    ----------
    vectors : ndarray of float32, shape (vocab_size, word_size), optional
        Initial vectors (GloVe, for example); random by default.
    trainable : bool
        Whether the vectors are trained.
    """

    def __init__(
        self,
        vocab_size: int,
        word_size: int,
        size: int,
        dropout: float,
        vectors: NDArray[np.float32] | None = None,
        *,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, word_size)
        if vectors is not None:
            self.table.weight.data.copy_(torch.from_numpy(vectors))
        self.table.requires_grad_(trainable)
        self.projection = nn.Identity() if word_size == size else nn.Linear(word_size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the vectors (..., size) of token ids (...)."""
        vectors: Tensor = self.dropout(self.projection(self.table(ids)))
        return vectors


def output_head(size: int, vocab_size: int, dropout: float) -> nn.Sequential:
    """Return the layers from a decoder's output to logits; the last one can share the weights of the embedding.

    Without the layer norm the first hundred steps learn little more than the frequency of each word.
    """
    return nn.Sequential(nn.LayerNorm(size), nn.Dropout(dropout), nn.Linear(size, vocab_size))
