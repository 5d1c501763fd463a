"""The decoders by the names of the literature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
