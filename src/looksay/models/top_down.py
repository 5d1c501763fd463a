"""Top-down attention: two LSTMs, one to look and one to say (Anderson et al. 2018, "Up-Down")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from looksay.models.attention import MultiHeadAttention
from looksay.models.decoder import Decoder, Tensors, for_rows, mean_cell
from looksay.models.lstm import LSTM
from looksay.models.word_embedding import WordEmbedding, output_head


class TopDown(Decoder):
    """Two LSTMs: one decides where to look, the other what to say.

    At each word the attention LSTM reads the language LSTM's last output, the mean of the grid and the word; its
    output asks where to look. The language LSTM reads what was seen and the attention LSTM's output, and speaks.
    Here the regions are the cells of a CNN's grid, and the attention has several heads.
    """

    def __init__(
        self, channels: int, embedding: WordEmbedding, vocabulary: int, *, size: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.look = nn.Sequential(nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.attention = MultiHeadAttention(size, size, size, heads)
        self.whole = nn.Linear(size, 4 * size, bias=False)
        self.attention_lstm = LSTM(2 * size, size)
        self.language_lstm = LSTM(2 * size, size)
        self.output_head = output_head(size, vocabulary, dropout)

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the grid, the keys and the values, and its mean to the attention LSTM's gates; start from zeros."""
        seen = self.look(grid)
        keys, values = self.attention.project(seen)
        mean = mean_cell(seen)
        names = ("attention_hidden", "attention_cell", "language_hidden", "language_cell")
        return {"keys": keys, "values": values, "whole": self.whole(mean)}, dict.fromkeys(names, torch.zeros_like(mean))

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        hidden, cell = self.attention_lstm(
            torch.cat([state["language_hidden"], embedded.relu()], dim=1),
            (state["attention_hidden"], state["attention_cell"]),
            for_rows(memory["whole"], embedded),
        )
        context, weights = self.attention(hidden, memory["keys"], memory["values"])
        output, output_cell = self.language_lstm(
            torch.cat([context, hidden], dim=1), (state["language_hidden"], state["language_cell"])
        )
        after = {
            "attention_hidden": hidden,
            "attention_cell": cell,
            "language_hidden": output,
            "language_cell": output_cell,
        }
        return output, after, weights
