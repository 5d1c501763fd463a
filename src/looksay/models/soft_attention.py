"""Soft attention: at each word the LSTM reads what it looked at (Xu et al. 2015, "Show, Attend and Tell")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.attention import AdditiveAttention, look
from looksay.models.decoder import Decoder, Tensors, mean_cell
from looksay.models.lstm import LSTM
from looksay.models.word_embedding import WordEmbedding, output_head


class SoftAttention(Decoder):
    """Additive attention over the grid, a gate that says how much of what was seen counts, a deep output.

    The last state says where to look; the gate (the paper's scalar beta) weighs what is seen there; the LSTM reads it
    beside the word; the words are scored from the word read, the state and what was seen.
    """

    def __init__(self, channels: int, embedding: WordEmbedding, vocabulary: int, *, size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.hidden = nn.Sequential(nn.Linear(channels, size), nn.Tanh())
        self.cell = nn.Sequential(nn.Linear(channels, size), nn.Tanh())
        self.attention = AdditiveAttention(size, channels, size)
        self.gate = nn.Sequential(nn.Linear(size, 1), nn.Sigmoid())
        self.lstm = LSTM(size + channels, size)
        self.seen_to_output = nn.Linear(channels, size, bias=False)
        self.hidden_to_output = nn.Linear(size, size, bias=False)
        self.output_head = output_head(size, vocabulary, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the keys; start from the mean of the grid."""
        mean = mean_cell(grid)
        memory = {"grid": grid, "keys": self.attention.project(grid)}
        return memory, {"hidden": self.hidden(mean), "cell": self.cell(mean)}

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        weights = self.attention.scores(state["hidden"], memory["keys"]).softmax(dim=-1)
        seen = self.gate(state["hidden"]) * look(weights, memory["grid"])
        hidden, cell = self.lstm(torch.cat([embedded, seen], dim=1), (state["hidden"], state["cell"]))
        output = embedded + self.hidden_to_output(hidden) + self.seen_to_output(seen)
        return output, {"hidden": hidden, "cell": cell}, weights
