"""The merge decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.decoder import Decoder, Tensors, mean_cell, repeat_for_rows, uniform_attention
from looksay.models.layers import LSTM, WordEmbedding, output_head


class Merge(Decoder):
    """Merge: the LSTM reads words alone, and the image is added to its output (Tanti et al. 2018).

    The design of the classic Keras tutorials: dense(image) + LSTM(words), a dense layer, the output head.
    """

    def __init__(self, channels: int, embedding: WordEmbedding, vocab_size: int, *, size: int, dropout: float) -> None:
        super().__init__(embedding)
        self.project_mean = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.ReLU())
        self.lstm = LSTM(size, size)
        self.merge = nn.Sequential(nn.Linear(size, size), nn.ReLU())
        self.output_head = output_head(size, vocab_size, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the mean of the grid; the state starts at zero."""
        mean = self.project_mean(mean_cell(grid))
        return {"seen": mean, "cells": grid[..., 0]}, dict.fromkeys(("hidden", "cell"), torch.zeros_like(mean))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        hidden, cell = self.lstm(embedded, (state["hidden"], state["cell"]))
        output = self.merge(hidden + repeat_for_rows(memory["seen"], embedded))
        return output, {"hidden": hidden, "cell": cell}, uniform_attention(memory["cells"], embedded)
