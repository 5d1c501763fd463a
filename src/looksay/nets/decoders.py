"""The LSTM that says: one class a design, all with the same three verbs.

`begin` looks at a picture once, `step` reads a word, `words` scores the next one. Teacher forcing (`forward`) is
written once, here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from looksay.errors import RecipeError
from looksay.nets.attention import MultiHeadAttention

Tensors = dict[str, Tensor]


class Decoder(nn.Module, ABC):
    """What every decoder can do.

    Attributes
    ----------
    embedding : Module
        Word ids (rows,) to vectors.
    words : Module
        The output of a step (rows, size) to the scores of all words (rows, vocabulary), before the softmax.
    """

    embedding: nn.Module
    words: nn.Module

    @abstractmethod
    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Look at pictures, once for all their captions.

        Parameters
        ----------
        grid : Tensor, shape (pictures, cells, channels)

        Returns
        -------
        memory : dict of Tensor, shape (pictures, ...)
            What every step looks at.
        state : dict of Tensor, shape (pictures, size)
            The hidden and cell states before the first word.
        """

    @abstractmethod
    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """Read one word in every row.

        Parameters
        ----------
        embedded : Tensor, shape (rows, embedding)
            The words. `rows` is a multiple of `pictures`; the rows of a picture stand together.
        memory : dict of Tensor, shape (pictures, ...)
        state : dict of Tensor, shape (rows, size)

        Returns
        -------
        output : Tensor, shape (rows, size)
            What `words` scores the next word from.
        state : dict of Tensor, shape (rows, size)
        attention : Tensor, shape (rows, cells)
        """

    def forward(self, grid: Tensor, tokens: Tensor) -> Tensor:
        """Score every next word of given captions (teacher forcing).

        Parameters
        ----------
        grid : Tensor, shape (pictures, cells, channels)
        tokens : Tensor of int, shape (rows, steps)
            ``<start>`` and the caption's words; the captions of a picture stand together.

        Returns
        -------
        Tensor, shape (rows, steps, vocabulary)
            Scores before the softmax.
        """
        memory, state = self.begin(grid)
        captions = len(tokens) // len(grid)
        state = {name: value.repeat_interleave(captions, dim=0) for name, value in state.items()}
        outputs = []
        for embedded in self.embedding(tokens).unbind(dim=1):
            output, state, _ = self.step(embedded, memory, state)
            outputs.append(output)
        scores: Tensor = self.words(torch.stack(outputs, dim=1))
        return scores


class TopDown(Decoder):
    """Two LSTMs: one decides where to look, the other what to say (Anderson et al. 2018, "Up-Down").

    At each word the attention LSTM reads the language LSTM's last output, the mean of the grid and the word; its
    output asks where to look. The language LSTM reads what was seen and the attention LSTM's output, and speaks.
    Here the regions are the cells of a CNN's grid, and the attention has several heads.

    Parameters
    ----------
    channels : int
        Features of a grid cell.
    vocabulary : int
        Number of words.
    size : int
        Features of the states, of the words and of the projected grid.
    heads : int
        Of the attention; `size` is a multiple of it.
    dropout : float
        On the projected grid, on the words read and on the output.
    """

    def __init__(self, channels: int, vocabulary: int, *, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Sequential(nn.Embedding(vocabulary, size), nn.ReLU(), nn.Dropout(dropout))
        self.look = nn.Sequential(nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.attention = MultiHeadAttention(size, size, size, heads)
        self.attention_lstm = nn.LSTMCell(3 * size, size)
        self.language_lstm = nn.LSTMCell(2 * size, size)
        # Without the norm the first hundred steps learn little more than how frequent each word is.
        self.words = nn.Sequential(nn.LayerNorm(size), nn.Dropout(dropout), nn.Linear(size, vocabulary))

    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project the grid, its mean, the keys and the values; start from zeros."""
        seen = self.look(grid)
        keys, values = self.attention.project(seen)
        mean = seen.mean(dim=1)
        zeros = torch.zeros_like(mean)
        names = ("attention_hidden", "attention_cell", "language_hidden", "language_cell")
        return {"keys": keys, "values": values, "mean": mean}, dict.fromkeys(names, zeros)

    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """See `Decoder.step`."""
        rows, pictures = embedded.shape[0], memory["mean"].shape[0]  # len() would fix them in an exported graph
        mean = memory["mean"] if rows == pictures else memory["mean"].repeat_interleave(rows // pictures, dim=0)
        hidden, cell = self.attention_lstm(
            torch.cat([state["language_hidden"], mean, embedded], dim=1),
            (state["attention_hidden"], state["attention_cell"]),
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


DECODERS = {"top-down": TopDown}
"""Every design by the name that the literature and the recipes give it."""


def build(name: str, channels: int, vocabulary: int, *, size: int, heads: int, dropout: float) -> Decoder:
    """Build a decoder by its name in `DECODERS`.

    Raises
    ------
    RecipeError
        If there is no such design, or if `size` is not a multiple of `heads`.
    """
    if name not in DECODERS:
        raise RecipeError(f"decoder.name={name}: there is no such decoder; there are {', '.join(DECODERS)}")
    if size % heads:
        raise RecipeError(f"decoder.size={size} is not a multiple of decoder.heads={heads}")
    return DECODERS[name](channels, vocabulary, size=size, heads=heads, dropout=dropout)
