"""Decoders that read the image with the LSTM: init-inject and par-inject."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.decoder import Decoder, Tensors, mean_cell, repeat_for_rows, uniform_attention
from looksay.models.layers import LSTM, WordEmbedding, output_head


class InitInject(Decoder):
    """The image gives the initial state of the LSTM, which then reads words alone (as in Vinyals et al. 2015)."""

    def __init__(self, channels: int, embedding: WordEmbedding, vocab_size: int, *, size: int, dropout: float) -> None:
        super().__init__(embedding)
        self.hidden = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.Tanh())
        self.cell = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.Tanh())
        self.lstm = LSTM(size, size)
        self.output_head = output_head(size, vocab_size, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Return the mean of the grid, projected, as the initial state."""
        mean = mean_cell(grid)
        return {"cells": grid[..., 0]}, {"hidden": self.hidden(mean), "cell": self.cell(mean)}

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        hidden, cell = self.lstm(embedded, (state["hidden"], state["cell"]))
        return hidden, {"hidden": hidden, "cell": cell}, uniform_attention(memory["cells"], embedded)


class ParInject(Decoder):
    """The LSTM reads the image together with every word (Tanti et al. 2018)."""

    def __init__(self, channels: int, embedding: WordEmbedding, vocab_size: int, *, size: int, dropout: float) -> None:
        super().__init__(embedding)
        self.project_mean = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.ReLU())
        self.lstm = LSTM(2 * size, size)
        self.output_head = output_head(size, vocab_size, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the mean of the grid; the state starts at zero."""
        mean = self.project_mean(mean_cell(grid))
        return {"seen": mean, "cells": grid[..., 0]}, dict.fromkeys(("hidden", "cell"), torch.zeros_like(mean))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        inputs = torch.cat([embedded, repeat_for_rows(memory["seen"], embedded)], dim=1)
        hidden, cell = self.lstm(inputs, (state["hidden"], state["cell"]))
        return hidden, {"hidden": hidden, "cell": cell}, uniform_attention(memory["cells"], embedded)
