"""Inject: the image goes into the LSTM, at its start or with every word (Tanti et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.decoder import Decoder, Tensors, everywhere, for_rows, mean_cell
from looksay.models.lstm import LSTM
from looksay.models.word_embedding import WordEmbedding, output_head


class InitInject(Decoder):
    """The image is the LSTM's first state; after that it reads words alone (as in Vinyals et al. 2015)."""

    def __init__(self, channels: int, embedding: WordEmbedding, vocabulary: int, *, size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.hidden = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.Tanh())
        self.cell = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.Tanh())
        self.lstm = LSTM(size, size)
        self.output_head = output_head(size, vocabulary, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Look at the mean of the grid, and start from it."""
        mean = mean_cell(grid)
        return {"cells": grid[..., 0]}, {"hidden": self.hidden(mean), "cell": self.cell(mean)}

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        hidden, cell = self.lstm(embedded, (state["hidden"], state["cell"]))
        return hidden, {"hidden": hidden, "cell": cell}, everywhere(memory["cells"], embedded)


class ParInject(Decoder):
    """The LSTM reads the image beside every word."""

    def __init__(self, channels: int, embedding: WordEmbedding, vocabulary: int, *, size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.look = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.ReLU())
        self.lstm = LSTM(2 * size, size)
        self.output_head = output_head(size, vocabulary, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Look at the mean of the grid; start from zeros."""
        seen = self.look(mean_cell(grid))
        return {"seen": seen, "cells": grid[..., 0]}, dict.fromkeys(("hidden", "cell"), torch.zeros_like(seen))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        both = torch.cat([embedded, for_rows(memory["seen"], embedded)], dim=1)
        hidden, cell = self.lstm(both, (state["hidden"], state["cell"]))
        return hidden, {"hidden": hidden, "cell": cell}, everywhere(memory["cells"], embedded)
