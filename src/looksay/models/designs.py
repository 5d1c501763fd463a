"""The decoder designs of the literature, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from looksay.errors import RecipeError
from looksay.models.decoder import Decoder, Tensors, mean_cell, repeat_for_rows, uniform_attention
from looksay.models.layers import LSTM, AdditiveAttention, MultiHeadAttention, WordEmbedding, attend, output_head


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


DECODERS: dict[str, Callable[..., Decoder]] = {
    "merge": Merge,
    "init-inject": InitInject,
    "par-inject": ParInject,
    "soft-attention": SoftAttention,
    "adaptive": Adaptive,
    "top-down": TopDown,
}
"""Decoder classes by the names of the literature, which recipes use."""


def build(
    name: str,
    channels: int,
    embedding: WordEmbedding,
    vocab_size: int,
    *,
    size: int,
    heads: int,
    dropout: float,
    tied: bool = False,
) -> Decoder:
    """Build a decoder by its name in `DECODERS`; the arguments are those of `Decoder`.

    `heads` are the attention heads of ``top-down``. `tied` shares the weights of the embedding and the output layer
    (Press and Wolf 2017). An unknown name, or sizes that do not fit together, raise a RecipeError.
    """
    if name not in DECODERS:
        raise RecipeError(f"decoder.name={name} is unknown: use one of {', '.join(DECODERS)}")
    sizes: dict[str, Any] = {"size": size, "dropout": dropout}
    if name == "top-down":
        if size % heads:
            raise RecipeError(f"decoder.size={size} is not a multiple of decoder.heads={heads}: change one of them")
        sizes["heads"] = heads
    decoder = DECODERS[name](channels, embedding, vocab_size, **sizes)
    if tied:
        if embedding.table.embedding_dim != size:
            raise RecipeError(
                f"embedding.tied=true needs embedding.size ({embedding.table.embedding_dim}) "
                f"equal to decoder.size ({size})"
            )
        shared = embedding.table.weight
        with torch.no_grad():  # the scale of a layer's weights: the first logits are near 0, not in the dozens
            shared *= size**-0.5 / shared.std()
        decoder.output_head[-1].weight = shared
    return decoder
