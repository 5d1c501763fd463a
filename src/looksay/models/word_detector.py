"""A word detector: which words people would use for an image, as a further input of the decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from looksay.models.decoder import mean_cell

_RARE = -5.0  # the initial logit: most words are in few captions


class WordDetector(nn.Module):
    """Detects words in the mean of a feature grid, and adds a vector for each of them to all cells.

    A captioner that reads the words of an image describes it better (attributes or concepts: Wu et al. 2016, You et
    al. 2016). The vectors start at zero, so that a trained decoder can be given a detector.

    Parameters
    ----------
    channels : int
        Features of a grid cell.
    tokens : sequence of int
        Ids of the words in the vocabulary.
    size : int
        Hidden units.
    dropout : float
        0 to below 1; on the mean cell and on the hidden units.

    Attributes
    ----------
    tokens : Tensor of int64, shape (words,)
    """

    tokens: Tensor

    def __init__(self, channels: int, tokens: Sequence[int], size: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.tensor(tokens, dtype=torch.int64))
        last = nn.Linear(size, len(tokens))
        nn.init.constant_(last.bias, _RARE)
        hidden = (nn.Dropout(dropout), nn.Linear(channels, size), nn.ReLU(), nn.Dropout(dropout))
        self.detect = nn.Sequential(*hidden, last)
        self.embed = nn.Linear(len(tokens), channels, bias=False)
        nn.init.zeros_(self.embed.weight)

    def logits(self, grid: Tensor) -> Tensor:
        """Return the logits (images, words) that a person's caption has a word, for grids (images, cells, channels)."""
        logits: Tensor = self.detect(mean_cell(grid))
        return logits

    def forward(self, grid: Tensor, logits: Tensor) -> Tensor:
        """Return the grids with what was detected in them; the decoder's loss does not change the detector."""
        described: Tensor = grid + self.embed(logits.detach().sigmoid())[:, None]
        return described
