"""Attention over the cells of a feature grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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
