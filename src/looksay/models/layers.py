"""Layers that all decoders share: word embedding, LSTM cell and output head."""

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


class LSTM(nn.Module):
    """One step of an LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    It equals `torch.nn.LSTMCell` with one matrix product and one bias in place of two.
    """

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.gates = nn.Linear(input_size + size, 4 * size)
        for weights in self.gates.parameters():  # the initialisation of torch.nn.LSTMCell
            nn.init.uniform_(weights, -(size**-0.5), size**-0.5)

    def forward(
        self, inputs: Tensor, state: tuple[Tensor, Tensor], static_gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the next hidden and cell state, each (rows, size), of `inputs` (rows, input_size).

        `static_gates` (rows, 4 * size), the projection of an input that is the same at every step, is added to the
        gates.
        """
        hidden, cell = state
        gates = self.gates(torch.cat([inputs, hidden], dim=1))
        gates = gates if static_gates is None else gates + static_gates
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
        # The cell state sums over all steps: it stays in fp32 where autocast computes the gates in bf16.
        cell = forget_gate.sigmoid() * cell.float() + input_gate.sigmoid() * candidate.tanh()
        return (output_gate.sigmoid() * cell.tanh()).to(gates.dtype), cell


def output_head(size: int, vocab_size: int, dropout: float) -> nn.Sequential:
    """Return the layers from a decoder's output to logits; the last one can share the weights of the embedding.

    Without the layer norm the first hundred steps learn little more than the frequency of each word.
    """
    return nn.Sequential(nn.LayerNorm(size), nn.Dropout(dropout), nn.Linear(size, vocab_size))
