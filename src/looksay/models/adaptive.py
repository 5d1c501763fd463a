"""The decoder with a visual sentinel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.attention import AdditiveAttention, attend
from looksay.models.decoder import Decoder, Tensors, mean_cell, repeat_for_rows
from looksay.models.layers import LSTM, WordEmbedding, output_head


class Adaptive(Decoder):
    """Adaptive attention over the grid cells and a visual sentinel (Lu et al. 2017).

    The LSTM reads the word and the mean of the grid. Its new hidden state attends to the cells and to the sentinel,
    a gated copy of the cell state, so that words such as "of" can be predicted without the image.
    """

    def __init__(self, channels: int, embedding: WordEmbedding, vocab_size: int, *, size: int, dropout: float) -> None:
        super().__init__(embedding)
        self.project_grid = nn.Sequential(nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.project_mean = nn.Sequential(nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.lstm = LSTM(2 * size, size)
        self.sentinel_gate = nn.Linear(3 * size, size)
        self.attention = AdditiveAttention(size, size, size)
        self.sentinel_key = nn.Linear(size, size)
        self.output_head = output_head(size, vocab_size, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the grid, its mean and the attention keys; the state starts at zero."""
        values, mean = self.project_grid(grid), self.project_mean(mean_cell(grid))
        memory = {"values": values, "keys": self.attention.project(values), "whole": mean}
        return memory, dict.fromkeys(("hidden", "cell"), torch.zeros_like(mean))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`; the attention returned is over the cells alone, normalised to sum to 1."""
        inputs = torch.cat([embedded, repeat_for_rows(memory["whole"], embedded)], dim=1)
        hidden, cell = self.lstm(inputs, (state["hidden"], state["cell"]))
        gate = torch.sigmoid(self.sentinel_gate(torch.cat([inputs, state["hidden"]], dim=1)))
        sentinel = gate * torch.tanh(cell)
        cell_scores = self.attention.scores(hidden, memory["keys"])
        query = self.attention.query(hidden)
        sentinel_score = self.attention.energy(torch.tanh(self.sentinel_key(sentinel) + query))
        weights = torch.cat([cell_scores, sentinel_score], dim=1).softmax(dim=-1)
        context = attend(weights[:, :-1], memory["values"]) + weights[:, -1:] * sentinel
        return context + hidden, {"hidden": hidden, "cell": cell}, cell_scores.softmax(dim=-1)
