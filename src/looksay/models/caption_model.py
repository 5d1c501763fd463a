"""Encoder and decoder together, and their use in decoding."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from looksay.decoding.decode import decode
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import DecoderState, Hypothesis, Tokens
from looksay.models.decoder import Decoder
from looksay.models.encoder import Encoder
from looksay.text.vocabulary import Vocabulary


class CaptionModel(nn.Module):
    """A CNN encoder and an LSTM decoder."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, images: Tensor) -> Tensor:
        """Return feature grids in fp32 (images, cells, channels) of pixels of uint8 (images, size, size, 3).

        Features (images, cells, channels) that a frozen encoder has computed before are only cast.
        """
        if images.dtype != torch.uint8:
            return images.float()
        grid: Tensor = self.encoder(self.encoder.normalise(images))
        return grid

    @torch.no_grad()
    def captions(self, grid: Tensor, vocabulary: Vocabulary, options: DecodingOptions) -> list[list[Hypothesis]]:
        """Return the best hypotheses for each grid (images, cells, channels), decoded as the runtime decodes."""
        state = DecoderState.begin(*self.decoder.begin(grid))
        return decode(self.step, state, options, vocabulary)

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], DecoderState]:
        """Return the log-probabilities of the next token and the next state, for `decode`."""
        device = next(self.parameters()).device
        embedded = self.decoder.embedding(torch.from_numpy(tokens).to(device))
        output, hidden, _ = self.decoder.step(embedded, state.memory, state.hidden)
        log_probs = self.decoder.output_head(output).float().log_softmax(dim=-1)
        return log_probs.cpu().numpy(), DecoderState(state.memory, state.memory_of, hidden)
