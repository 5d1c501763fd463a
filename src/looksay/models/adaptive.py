"""Adaptive attention: a sentinel to look at where the image does not help (Lu et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.attention import AdditiveAttention, look
from looksay.models.decoder import Decoder, Tensors, for_rows, mean_cell
from looksay.models.lstm import LSTM
from looksay.models.word_embedding import WordEmbedding, output_head


class Adaptive(Decoder):
    """Spatial attention with a visual sentinel.

    The LSTM reads the word and the whole image; its new state looks over the cells and over the sentinel, which is
    what the LSTM already knows. Words such as "of" can be said from the sentinel alone.
    """

    def __init__(self, channels: int, embedding: WordEmbedding, vocabulary: int, *, size: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.look = nn.Sequential(nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.whole = nn.Sequential(nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.lstm = LSTM(2 * size, size)
        self.sentinel_gate = nn.Linear(3 * size, size)
        self.attention = AdditiveAttention(size, size, size)
        self.sentinel_key = nn.Linear(size, size)
        self.output_head = output_head(size, vocabulary, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the grid, its mean and the keys; start from zeros."""
        values, whole = self.look(grid), self.whole(mean_cell(grid))
        memory = {"values": values, "keys": self.attention.project(values), "whole": whole}
        return memory, dict.fromkeys(("hidden", "cell"), torch.zeros_like(whole))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`; the attention is over the cells alone, made to sum to 1."""
        read = torch.cat([embedded, for_rows(memory["whole"], embedded)], dim=1)
        hidden, cell = self.lstm(read, (state["hidden"], state["cell"]))
        gate = torch.sigmoid(self.sentinel_gate(torch.cat([read, state["hidden"]], dim=1)))
        sentinel = gate * torch.tanh(cell)
        over_cells = self.attention.scores(hidden, memory["keys"])
        asked = self.attention.query(hidden)
        over_sentinel = self.attention.energy(torch.tanh(self.sentinel_key(sentinel) + asked))
        weights = torch.cat([over_cells, over_sentinel], dim=1).softmax(dim=-1)
        seen = look(weights[:, :-1], memory["values"]) + weights[:, -1:] * sentinel
        return seen + hidden, {"hidden": hidden, "cell": cell}, over_cells.softmax(dim=-1)
