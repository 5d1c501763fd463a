"""Layers of the decoders: the LSTM, attention over the cells of a grid, the word embedding and the output head."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


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


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017).

    `project` computes the keys and values of an image once for all of its words. They and the context have `size`
    features, a multiple of `heads`; a query and a grid cell have `query_size` and `grid_size`.
    """

    def __init__(self, query_size: int, grid_size: int, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(query_size, size)
        self.key = nn.Linear(grid_size, size)
        self.value = nn.Linear(grid_size, size)

    def project(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and the values of a grid (images, cells, grid_size), in the layout that `forward` takes."""
        keys, values = (layer(grid).unflatten(2, (self.heads, -1)) for layer in (self.key, self.value))
        return keys.permute(0, 2, 3, 1).contiguous(), values.transpose(1, 2).contiguous()

    def forward(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Attend once for every row.

        Parameters
        ----------
        query : Tensor, shape (rows, query_size)
            The rows of an image are adjacent: `rows` is a multiple of `images`.
        keys : Tensor, shape (images, heads, size / heads, cells)
        values : Tensor, shape (images, heads, cells, size / heads)

        Returns
        -------
        context : Tensor, shape (rows, size)
        weights : Tensor, shape (rows, cells)
            The mean over the heads; each row sums to 1.
        """
        images, heads, depth, cells = keys.shape
        queries = self.query(query).view(images, -1, heads, depth).transpose(1, 2)
        weights = (queries @ keys / math.sqrt(depth)).softmax(dim=-1)
        context = weights @ values
        return context.transpose(1, 2).reshape(-1, heads * depth), weights.mean(dim=1).reshape(-1, cells)


class AdditiveAttention(nn.Module):
    """Additive attention (Bahdanau et al. 2015): the score of a cell is ``v · tanh(W a + U h)``."""

    def __init__(self, query_size: int, grid_size: int, size: int) -> None:
        super().__init__()
        self.key = nn.Linear(grid_size, size)
        self.query = nn.Linear(query_size, size, bias=False)
        self.energy = nn.Linear(size, 1, bias=False)

    def project(self, grid: Tensor) -> Tensor:
        """Return the keys (images, cells, size) of a grid, computed once for all words."""
        keys: Tensor = self.key(grid)
        return keys

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return the scores of the cells for every row, before the softmax: (rows, cells)."""
        images, cells, size = keys.shape
        queries = self.query(query).view(images, -1, 1, size)
        energies: Tensor = self.energy(torch.tanh(keys.unsqueeze(1) + queries))
        return energies.reshape(-1, cells)


def attend(weights: Tensor, values: Tensor) -> Tensor:
    """Return the context (rows, size): the sum of `values` (images, cells, size) by `weights` (rows, cells)."""
    images, cells, size = values.shape
    return (weights.view(images, -1, cells) @ values).reshape(-1, size)


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
