"""What every LSTM that says can do.

`begin` looks at an image once, `step` reads a word, `words` scores the next one. Teacher forcing (`forward`) is
written once, here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Tensors = dict[str, Tensor]

PADDING = -1
"""Stands for a word where a caption has already ended."""


class Decoder(nn.Module, ABC):
    """The interface of all designs; each is made from the same parameters.

    Parameters
    ----------
    channels : int
        Features of a grid cell. A design without attention looks at the mean of the cells.
    embedding : WordEmbedding
        Of `size` features.
    vocabulary : int
        Number of words.
    size : int
        Features of the state, and of all that the image and the words are projected to.
    dropout : float
        0 to below 1. On the words read, on the output and, but in soft attention, on the image.

    Attributes
    ----------
    embedding : Module
        Word ids (rows,) to vectors.
    output_head : Module
        The output of a step (rows, size) to the scores of all words (rows, vocabulary), before the softmax.
    """

    embedding: nn.Module
    output_head: nn.Sequential

    @abstractmethod
    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Look at images, once for all their captions.

        Parameters
        ----------
        grid : Tensor, shape (images, cells, channels)
            One cell where the encoder's features are pooled.

        Returns
        -------
        memory : dict of Tensor, shape (images, ...)
            What every step looks at.
        state : dict of Tensor, shape (images, size)
            The hidden and cell states before the first word.
        """

    @abstractmethod
    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """Read one word in every row.

        Parameters
        ----------
        embedded : Tensor, shape (rows, embedding)
            The words. `rows` is a multiple of `images`; the rows of an image stand together.
        memory : dict of Tensor, shape (images, ...)
        state : dict of Tensor, shape (rows, size)

        Returns
        -------
        output : Tensor, shape (rows, size)
            What `words` scores the next word from.
        state : dict of Tensor, shape (rows, size)
        attention : Tensor, shape (rows, cells)
            Where the decoder looked; each row sums to 1. A design without attention looks everywhere alike.
        """

    def forward(
        self, grid: Tensor, tokens: Tensor, own_words: float = 0.0, going: Sequence[tuple[int, int]] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read given captions (teacher forcing); `words` scores each next word from what comes out.

        Parameters
        ----------
        grid : Tensor, shape (images, cells, channels)
        tokens : Tensor of int, shape (rows, steps)
            ``<start>`` and the caption's words; the captions of an image stand together.
        own_words : float
            Probability, 0 to 1, that after the first step the word read is one drawn from the model's own scores
            instead (scheduled sampling, Bengio et al. 2015).
        going : sequence of (int, int), optional
            For each step, how many images still have a word to say, the first ones, and how many captions of each;
            the others are read no further, which saves their work. By default all are read to the end.

        Returns
        -------
        outputs : Tensor, shape (rows, steps, size)
            0 where a caption is read no further.
        attention : Tensor, shape (rows, steps, cells)
            Likewise.
        """
        memory, state = self.begin(grid)
        all_ = now = (len(grid), len(tokens) // len(grid))
        state = {name: value.repeat_interleave(all_[1], dim=0) for name, value in state.items()}
        outputs: list[Tensor] = []
        looks: list[Tensor] = []
        for step, embedded in enumerate(self.embedding(tokens).unbind(dim=1)):
            if own_words and step:
                embedded = self.embedding(self._some_own(tokens[:, step], outputs[-1], own_words))  # noqa: PLW2901
            if going and going[step] != now:
                state = {name: _narrow(value, now, going[step]) for name, value in state.items()}
                now = going[step]
                memory = {name: value[: now[0]] for name, value in memory.items()}
            output, state, attention = self.step(_narrow(embedded, all_, now), memory, state)
            outputs.append(_widen(output, now, all_))
            looks.append(_widen(attention, now, all_))
        return torch.stack(outputs, dim=1), torch.stack(looks, dim=1)

    def draw(self, grid: Tensor, captions: int, *, start: int, end: int, max_length: int) -> tuple[Tensor, Tensor]:
        """Draw captions, word by word, from the model's own probabilities.

        Parameters
        ----------
        grid : Tensor, shape (images, cells, channels)
        captions : int
            Of each image; they stand together.
        start, end : int
            Ids of ``<start>`` and ``<end>``.
        max_length : int
            A caption that has not ended by then is cut.

        Returns
        -------
        said : Tensor of int64, shape (rows, steps)
            The words and ``<end>``, then `PADDING`.
        log_probs : Tensor of float32, shape (rows, steps)
            Of these words, with gradients; 0 where there is none.
        """
        all_memory, state = self.begin(grid)
        memory, state = all_memory, {name: value.repeat_interleave(captions, dim=0) for name, value in state.items()}
        word = torch.full((len(grid) * captions,), start, device=grid.device)
        none = torch.full_like(word, PADDING)
        rows, going = torch.arange(len(word), device=grid.device), torch.ones_like(word, dtype=torch.bool)
        said: list[Tensor] = []
        log_probs: list[Tensor] = []
        while len(said) <= max_length and going.any():
            if 2 * going.sum() <= len(going):  # no more work for captions that have ended
                rows, word, state = rows[going], word[going], {name: value[going] for name, value in state.items()}
                memory = {name: value[rows // captions] for name, value in all_memory.items()}
                going = going[going]
            output, state, _ = self.step(self.embedding(word), memory, state)
            scores = self.output_head(output).float().log_softmax(dim=-1)
            word = torch.multinomial(scores.detach().exp(), 1)[:, 0]
            likely = torch.where(going, scores.gather(1, word[:, None])[:, 0], 0.0)
            said.append(none.scatter(0, rows, torch.where(going, word, PADDING)))
            log_probs.append(torch.zeros_like(none, dtype=likely.dtype).scatter(0, rows, likely))
            going = going & (word != end)
        return torch.stack(said, dim=1), torch.stack(log_probs, dim=1)

    @torch.no_grad()
    def _some_own(self, words: Tensor, output: Tensor, part: float) -> Tensor:
        """Return words (rows,) of which a part is drawn from the model's scores."""
        drawn = torch.multinomial(self.output_head(output).float().softmax(dim=-1), 1)[:, 0]
        return torch.where(torch.rand(len(words), device=words.device) < part, drawn, words)


def _narrow(rows: Tensor, from_: tuple[int, int], to: tuple[int, int]) -> Tensor:
    """Return the rows (rows, size) of the first images and of the first captions of each."""
    if from_ == to:
        return rows
    return rows.view(*from_, -1)[: to[0], : to[1]].flatten(0, 1)


def _widen(rows: Tensor, from_: tuple[int, int], to: tuple[int, int]) -> Tensor:
    """Put rows where they were before `_narrow`, among zeros."""
    if from_ == to:
        return rows
    missing = (0, 0, 0, to[1] - from_[1], 0, to[0] - from_[0])
    return functional.pad(rows.view(*from_, -1), missing).flatten(0, 1)


def for_rows(remembered: Tensor, embedded: Tensor) -> Tensor:
    """Repeat what is remembered of each image (images, size) for each of its rows (rows, size)."""
    rows, images = embedded.shape[0], remembered.shape[0]  # len() would fix them in an exported graph
    return remembered if rows == images else remembered[:, None].expand(-1, rows // images, -1).flatten(0, 1)


def mean_cell(grid: Tensor) -> Tensor:
    """Return the mean of the cells of each grid (images, cells, features): (images, features).

    It is a product, because ONNX Runtime's own mean of one image differs in the last digit from that of the same
    image among others; int8 then makes other words of it.
    """
    cells = grid.shape[1]
    return (grid.new_full((1, cells), 1 / cells) @ grid)[:, 0]


def everywhere(grid_like: Tensor, rows: Tensor) -> Tensor:
    """Return the attention of a design that has none: the same for every cell of `grid_like` (images, cells)."""
    weights = torch.full_like(grid_like, 1 / grid_like.shape[1])
    return for_rows(weights, rows)
