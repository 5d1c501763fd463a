"""Encoder + decoder, and how search walks them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from looksay import rules
from looksay.nets.decoder import Decoder
from looksay.nets.encoder import Encoder
from looksay.search import DecoderState, Hypothesis, Tokens, search
from looksay.specs import SearchOptions
from looksay.vocabulary import Vocabulary


class CaptionModel(nn.Module):
    """A CNN that looks and an LSTM that says.

    Parameters
    ----------
    encoder : Encoder
    decoder : Decoder
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def grid(self, pictures: Tensor) -> Tensor:
        """Return the grids of pictures (pictures, 3, size, size), or what a frozen encoder has made of them already."""
        made: Tensor = self.encoder(pictures) if pictures.ndim == 4 else pictures
        return made

    @torch.no_grad()
    def captions(self, grid: Tensor, vocabulary: Vocabulary, options: SearchOptions) -> list[list[Hypothesis]]:
        """Find the best captions of encoded pictures, with the search that the runtime uses.

        Parameters
        ----------
        grid : Tensor, shape (pictures, cells, channels)
            What the encoder made of them.
        """
        state = DecoderState.begin(*self.decoder.begin(grid))
        obeyed = rules.of(options, vocabulary)
        return search(self.step, state, options, start=vocabulary.start, end=vocabulary.end, rules=obeyed)

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], DecoderState]:
        """Give `search` the log-probabilities of the next word."""
        device = next(self.parameters()).device
        embedded = self.decoder.embedding(torch.from_numpy(tokens).to(device))
        output, hidden, _ = self.decoder.step(embedded, state.memory, state.hidden)
        log_probs = self.decoder.words(output).float().log_softmax(dim=-1)
        return log_probs.cpu().numpy(), DecoderState(state.memory, state.memory_of, hidden)
