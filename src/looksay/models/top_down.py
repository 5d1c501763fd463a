"""The decoder with top-down attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.attention import MultiHeadAttention
from looksay.models.decoder import Decoder, Tensors, mean_cell, repeat_for_rows
from looksay.models.layers import LSTM, WordEmbedding, output_head


class TopDown(Decoder):
    """Top-down attention: one LSTM gives the query, another the next word (Anderson et al. 2018, "Up-Down").

    At each word the attention LSTM reads the language LSTM's last output, the mean of the grid and the word. Its
    output is the attention query. The language LSTM reads the context and that output. In place of the paper's
    detected regions there are the cells of a CNN's feature grid, and the attention has several heads.
    """

    _STATE = ("attention_hidden", "attention_cell", "language_hidden", "language_cell")

    def __init__(
        self, channels: int, embedding: WordEmbedding, vocab_size: int, *, size: int, heads: int, dropout: float
    ) -> None:
        super().__init__(embedding)
        self.project_grid = nn.Sequential(nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.attention = MultiHeadAttention(size, size, size, heads)
        self.mean_to_gates = nn.Linear(size, 4 * size, bias=False)
        self.attention_lstm = LSTM(2 * size, size)
        self.language_lstm = LSTM(2 * size, size)
        self.output_head = output_head(size, vocab_size, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the keys, the values and the mean of the grid (to the attention LSTM's gates); start at zero."""
        projected = self.project_grid(grid)
        keys, values = self.attention.project(projected)
        mean = mean_cell(projected)
        memory = {"keys": keys, "values": values, "whole": self.mean_to_gates(mean)}
        return memory, dict.fromkeys(self._STATE, torch.zeros_like(mean))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        hidden, cell = self.attention_lstm(
            torch.cat([state["language_hidden"], embedded.relu()], dim=1),
            (state["attention_hidden"], state["attention_cell"]),
            repeat_for_rows(memory["whole"], embedded),
        )
        context, weights = self.attention(hidden, memory["keys"], memory["values"])
        output, output_cell = self.language_lstm(
            torch.cat([context, hidden], dim=1), (state["language_hidden"], state["language_cell"])
        )
        return output, dict(zip(self._STATE, (hidden, cell, output, output_cell), strict=True)), weights
