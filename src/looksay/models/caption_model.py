"""Encoder and decoder together: the model, and its decoder by the name of its design."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from looksay.decoding.decode import decode
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import DecoderState, Hypothesis, Tokens
from looksay.errors import RecipeError
from looksay.models.decoder import Decoder
from looksay.models.encoder import Encoder
from looksay.models.layers import WordEmbedding
from looksay.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from looksay.models.word_detector import WordDetector

DECODERS = {
    "merge": ("merge", "Merge"),
    "init-inject": ("inject", "InitInject"),
    "par-inject": ("inject", "ParInject"),
    "soft-attention": ("soft_attention", "SoftAttention"),
    "adaptive": ("adaptive", "Adaptive"),
    "top-down": ("top_down", "TopDown"),
}
"""Module and class of each design by its name in the literature, which recipes use; one file a design."""


class CaptionModel(nn.Module):
    """A CNN encoder, an LSTM decoder, and perhaps a word detector between them."""

    def __init__(self, encoder: Encoder, decoder: Decoder, detector: WordDetector | None = None) -> None:
        super().__init__()
        self.encoder, self.decoder, self.detector = encoder, decoder, detector

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the decoder's feature grids in fp32, and the logits of the detector's words if there is one.

        `images` are pixels of uint8 (images, size, size, 3), or features (images, cells, channels) that a frozen
        encoder has computed before. The shapes are (images, cells, channels) and (images, words).
        """
        is_encoded = images.dtype != torch.uint8
        return self.detect(images.float() if is_encoded else self.encoder(self.encoder.normalise(images)))

    def detect(self, grid: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what `encode` returns, for the encoder's feature grids."""
        if self.detector is None:
            return grid, None
        logits = self.detector.logits(grid)
        return self.detector(grid, logits), logits

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


def build_decoder(
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
    module, design = DECODERS[name]
    decoder: Decoder = getattr(import_module(f"looksay.models.{module}"), design)(
        channels, embedding, vocab_size, **sizes
    )
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
