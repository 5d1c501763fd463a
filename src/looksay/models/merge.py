"""Merge: the LSTM reads words alone, and the image is added to what it has read (Tanti et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.decoder import Decoder, Tensors, everywhere, for_rows, mean_cell
from looksay.models.lstm import LSTM
from looksay.models.word_embedding import WordEmbedding, output_head


class Merge(Decoder):
    """The design of the classic Keras tutorials: dense(image) + LSTM(words), a dense layer, the words."""

    def __init__(self, channels: int, embedding: WordEmbedding, vocabulary: int, *, size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.look = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size), nn.ReLU())
        self.lstm = LSTM(size, size)
        self.merge = nn.Sequential(nn.Linear(size, size), nn.ReLU())
        self.output_head = output_head(size, vocabulary, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Look at the mean of the grid; start from zeros."""
        seen = self.look(mean_cell(grid))
        return {"seen": seen, "cells": grid[..., 0]}, dict.fromkeys(("hidden", "cell"), torch.zeros_like(seen))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        hidden, cell = self.lstm(embedded, (state["hidden"], state["cell"]))
        output = self.merge(hidden + for_rows(memory["seen"], embedded))
        return output, {"hidden": hidden, "cell": cell}, everywhere(memory["cells"], embedded)
