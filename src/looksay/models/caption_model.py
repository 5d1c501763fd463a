"""Encoder + decoder, and how search walks them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from looksay.decoding.decode import decode
from looksay.decoding.hypothesis import Hypothesis
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import DecoderState, Tokens
from looksay.models.decoder import Decoder
from looksay.models.encoder import Encoder
from looksay.text.vocabulary import Vocabulary


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

    def grid(self, images: Tensor) -> Tensor:
        """Return the grids of images (images, 3, size, size), or what a frozen encoder has made of them already."""
        made: Tensor = self.encoder(images) if images.ndim == 4 else images
        return made

    @torch.no_grad()
    def captions(self, grid: Tensor, vocabulary: Vocabulary, options: DecodingOptions) -> list[list[Hypothesis]]:
        """Find the best captions of encoded images, with the search that the runtime uses.

        Parameters
        ----------
        grid : Tensor, shape (images, cells, channels)
            What the encoder made of them.
        """
        state = DecoderState.begin(*self.decoder.begin(grid))
        return decode(self.step, state, options, vocabulary)

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], DecoderState]:
        """Give `decode` the log-probabilities of the next word."""
        device = next(self.parameters()).device
        embedded = self.decoder.embedding(torch.from_numpy(tokens).to(device))
        output, hidden, _ = self.decoder.step(embedded, state.memory, state.hidden)
        log_probs = self.decoder.output_head(output).float().log_softmax(dim=-1)
        return log_probs.cpu().numpy(), DecoderState(state.memory, state.memory_of, hidden)
