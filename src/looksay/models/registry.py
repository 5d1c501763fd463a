"""The decoders by name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from looksay.errors import RecipeError
from looksay.models.adaptive import Adaptive
from looksay.models.decoder import Decoder
from looksay.models.inject import InitInject, ParInject
from looksay.models.merge import Merge
from looksay.models.soft_attention import SoftAttention
from looksay.models.top_down import TopDown
from looksay.models.word_embedding import WordEmbedding

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
    """Build a decoder by its name in `DECODERS`.

    Parameters
    ----------
    channels, embedding, vocab_size, size, dropout
        See `Decoder`.
    heads : int
        Attention heads of ``top-down``; `size` is a multiple of it.
    tied : bool
        Share the weights of the embedding and the output layer (Press and Wolf 2017).

    Raises
    ------
    RecipeError
        If the name is unknown, or if the sizes do not fit together.
    """
    if name not in DECODERS:
        raise RecipeError(f"decoder.name={name} is unknown: use one of {', '.join(DECODERS)}")
    design = DECODERS[name]
    if design is TopDown:
        if size % heads:
            raise RecipeError(f"decoder.size={size} is not a multiple of decoder.heads={heads}: change one of them")
        decoder: Decoder = TopDown(channels, embedding, vocab_size, size=size, heads=heads, dropout=dropout)
    else:
        decoder = design(channels, embedding, vocab_size, size=size, dropout=dropout)
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
