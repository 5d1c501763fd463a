"""The base class of all decoders: `begin` projects an image once, `step` reads a token, `forward` teacher-forces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from looksay.models.layers import WordEmbedding

Tensors = dict[str, Tensor]

PADDING = -1
"""The token id after the end of a caption."""

_CHECK_INTERVAL = 4
"""Steps of `Decoder.sample` between two checks whether all captions have ended, each of which waits for the GPU."""


class Decoder(nn.Module, ABC):
    """An LSTM decoder; all designs take the same parameters.

    Parameters
    ----------
    channels : int
        Features of a grid cell. A design without attention reads the mean of the cells.
    embedding : WordEmbedding
        With `size` output features.
    vocab_size : int
    size : int
        Features of the state and of the projected image and words.
    dropout : float
        0 to below 1; on the embedded words, on the output and, except in soft attention, on the image.

    Attributes
    ----------
    embedding : Module
        Token ids (rows,) to vectors.
    output_head : Module
        The output of a step (rows, size) to logits (rows, vocab).
    """

    output_head: nn.Sequential

    def __init__(self, embedding: WordEmbedding) -> None:
        super().__init__()
        self.embedding = embedding

    @abstractmethod
    def begin(self, grid: Tensor) -> tuple[Tensors, Tensors]:
        """Project images, once for all their captions.

        Parameters
        ----------
        grid : Tensor, shape (images, cells, channels)
            One cell if the encoder's features are pooled.

        Returns
        -------
        memory : dict of Tensor, shape (images, ...)
            The part that is the same at every step.
        state : dict of Tensor, shape (images, size)
            The initial hidden and cell states.
        """

    @abstractmethod
    def step(self, embedded: Tensor, memory: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensor]:
        """Read one token in every row.

        Parameters
        ----------
        embedded : Tensor, shape (rows, embedding)
            `rows` is a multiple of `images`; the rows of an image are adjacent.
        memory : dict of Tensor, shape (images, ...)
        state : dict of Tensor, shape (rows, size)

        Returns
        -------
        output : Tensor, shape (rows, size)
            The input of `output_head`.
        state : dict of Tensor, shape (rows, size)
        attention : Tensor, shape (rows, cells)
            Each row sums to 1; uniform in a design without attention.
        """

    def forward(
        self,
        grid: Tensor,
        tokens: Tensor,
        sampling_prob: float = 0.0,
        active: Sequence[tuple[int, int]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Read given captions (teacher forcing); `output_head` turns the outputs into logits of the next tokens.

        Parameters
        ----------
        grid : Tensor, shape (images, cells, channels)
        tokens : Tensor of int, shape (rows, steps)
            ``<start>`` and the words; the captions of an image are adjacent.
        sampling_prob : float
            Probability, 0 to 1, that after the first step the token read is sampled from the model's own distribution
            (scheduled sampling, Bengio et al. 2015).
        active : sequence of (int, int), optional
            For each step, the number of leading images that have an unfinished caption, and the number of leading
            captions of each. The others are skipped. By default all rows are read to the end.

        Returns
        -------
        outputs, attention : Tensor, shape (rows, steps, size) and (rows, steps, cells)
            0 where a row is skipped.
        """
        memory, state = self.begin(grid)
        full = current = (len(grid), len(tokens) // len(grid))
        state = {name: value.repeat_interleave(full[1], dim=0) for name, value in state.items()}
        outputs: list[Tensor] = []
        attentions: list[Tensor] = []
        for step, embedded in enumerate(self.embedding(tokens).unbind(dim=1)):
            if sampling_prob and step:
                embedded = self.embedding(self._mix_samples(tokens[:, step], outputs[-1], sampling_prob))  # noqa: PLW2901
            if active and active[step] != current:
                state = {name: _narrow(value, current, active[step]) for name, value in state.items()}
                current = active[step]
                memory = {name: value[: current[0]] for name, value in memory.items()}
            output, state, attention = self.step(_narrow(embedded, full, current), memory, state)
            outputs.append(_widen(output, current, full))
            attentions.append(_widen(attention, current, full))
        return torch.stack(outputs, dim=1), torch.stack(attentions, dim=1)

    def sample(self, grid: Tensor, captions: int, *, start: int, end: int, max_length: int) -> tuple[Tensor, Tensor]:
        """Sample captions from the model's own distribution.

        Parameters
        ----------
        grid : Tensor, shape (images, cells, channels)
        captions : int
            Captions of each image; they are adjacent.
        start, end, max_length : int
            Ids of ``<start>`` and ``<end>``. A caption without ``<end>`` after `max_length` words is cut.

        Returns
        -------
        sampled : Tensor of int64, shape (rows, steps)
            The words and ``<end>``, then `PADDING`.
        log_probs : Tensor of float32, shape (rows, steps)
            Log-probabilities of these tokens, with gradients; 0 at `PADDING`.
        """
        all_memory, state = self.begin(grid)
        memory, state = all_memory, {name: value.repeat_interleave(captions, dim=0) for name, value in state.items()}
        token = torch.full((len(grid) * captions,), start, device=grid.device)
        padding = torch.full_like(token, PADDING)
        rows, active = torch.arange(len(token), device=grid.device), torch.ones_like(token, dtype=torch.bool)
        sampled: list[Tensor] = []
        log_probs: list[Tensor] = []
        for step in range(max_length + 1):
            if grid.device.type == "cpu" or step % _CHECK_INTERVAL == 0:
                unfinished = active.nonzero()[:, 0]
                if not len(unfinished):
                    break
                if 2 * len(unfinished) <= len(active):  # drop the rows of finished captions
                    rows, token, active = rows[unfinished], token[unfinished], active[unfinished]
                    state = {name: value[unfinished] for name, value in state.items()}
                    memory = {name: value[rows // captions] for name, value in all_memory.items()}
            output, state, _ = self.step(self.embedding(token), memory, state)
            scores = self.output_head(output).float().log_softmax(dim=-1)
            token = torch.multinomial(scores.detach().exp(), 1)[:, 0]
            log_prob = torch.where(active, scores.gather(1, token[:, None])[:, 0], 0.0)
            sampled.append(padding.scatter(0, rows, torch.where(active, token, PADDING)))
            log_probs.append(torch.zeros_like(padding, dtype=log_prob.dtype).scatter(0, rows, log_prob))
            active = active & (token != end)
        return torch.stack(sampled, dim=1), torch.stack(log_probs, dim=1)

    @torch.no_grad()
    def _mix_samples(self, tokens: Tensor, output: Tensor, sampling_prob: float) -> Tensor:
        """Return tokens (rows,), each replaced by a sample with probability `sampling_prob`."""
        samples = torch.multinomial(self.output_head(output).float().softmax(dim=-1), 1)[:, 0]
        return torch.where(torch.rand(len(tokens), device=tokens.device) < sampling_prob, samples, tokens)


def _narrow(rows: Tensor, full: tuple[int, int], active: tuple[int, int]) -> Tensor:
    """Return the rows (rows, size) of the leading images and of the leading captions of each."""
    return rows if full == active else rows.view(*full, -1)[: active[0], : active[1]].flatten(0, 1)


def _widen(rows: Tensor, active: tuple[int, int], full: tuple[int, int]) -> Tensor:
    """Undo `_narrow`; the skipped rows are 0."""
    if full == active:
        return rows
    missing = (0, 0, 0, full[1] - active[1], 0, full[0] - active[0])
    return functional.pad(rows.view(*active, -1), missing).flatten(0, 1)


def repeat_for_rows(per_image: Tensor, embedded: Tensor) -> Tensor:
    """Repeat (images, size) for the rows of `embedded` (rows, embedding): (rows, size)."""
    rows, images = embedded.shape[0], per_image.shape[0]  # len() would make them constants in an exported graph
    return per_image if rows == images else per_image[:, None].expand(-1, rows // images, -1).flatten(0, 1)


def mean_cell(grid: Tensor) -> Tensor:
    """Return the mean of the cells (images, cells, features): (images, features).

    It is a matrix product, because ONNX Runtime's ReduceMean depends in the last digit on the batch size, which int8
    quantisation amplifies to other captions.
    """
    cells = grid.shape[1]
    return (grid.new_full((1, cells), 1 / cells) @ grid)[:, 0]


def uniform_attention(cells: Tensor, embedded: Tensor) -> Tensor:
    """Return uniform weights over `cells` (images, cells) for the rows of `embedded`: (rows, cells)."""
    return repeat_for_rows(torch.full_like(cells, 1 / cells.shape[1]), embedded)
