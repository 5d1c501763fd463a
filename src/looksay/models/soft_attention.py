"""The decoder of "Show, Attend and Tell"."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.attention import AdditiveAttention, attend
from looksay.models.decoder import Decoder, Tensors, mean_cell
from looksay.models.layers import LSTM, WordEmbedding, output_head


class SoftAttention(Decoder):
    """Soft attention, a gated context and a deep output layer (Xu et al. 2015, "Show, Attend and Tell").

    The last hidden state is the query; the paper's scalar gate beta scales the context; the LSTM reads it together
    with the word; the logits come from the word, the hidden state and the context.
    """

    def __init__(self, channels: int, embedding: WordEmbedding, vocab_size: int, *, size: int, dropout: float) -> None:
        super().__init__(embedding)
        self.hidden = nn.Sequential(nn.Linear(channels, size), nn.Tanh())
        self.cell = nn.Sequential(nn.Linear(channels, size), nn.Tanh())
        self.attention = AdditiveAttention(size, channels, size)
        self.gate = nn.Sequential(nn.Linear(size, 1), nn.Sigmoid())
        self.lstm = LSTM(size + channels, size)
        self.context_to_output = nn.Linear(channels, size, bias=False)
        self.hidden_to_output = nn.Linear(size, size, bias=False)
        self.output_head = output_head(size, vocab_size, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the attention keys; the mean of the grid, projected, is the initial state."""
        mean = mean_cell(grid)
        memory = {"grid": grid, "keys": self.attention.project(grid)}
        return memory, {"hidden": self.hidden(mean), "cell": self.cell(mean)}

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        weights = self.attention.scores(state["hidden"], memory["keys"]).softmax(dim=-1)
        context = self.gate(state["hidden"]) * attend(weights, memory["grid"])
        hidden, cell = self.lstm(torch.cat([embedded, context], dim=1), (state["hidden"], state["cell"]))
        output = embedded + self.hidden_to_output(hidden) + self.context_to_output(context)
        return output, {"hidden": hidden, "cell": cell}, weights
