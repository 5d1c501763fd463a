"""Every design by its name."""

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
"""The names that the literature and the recipes give them."""


def build(
    name: str,
    channels: int,
    embedding: WordEmbedding,
    vocabulary: int,
    *,
    size: int,
    heads: int,
    dropout: float,
    tied: bool = False,
) -> Decoder:
    """Build a decoder by its name in `DECODERS`.

    Parameters
    ----------
    channels, embedding, vocabulary, size, dropout
        See `Decoder`.
    heads : int
        Of the attention of a design that has several; `size` is a multiple of it.
    tied : bool
        Whether words are scored with the very vectors they are read with (Press and Wolf 2017).

    Raises
    ------
    RecipeError
        If there is no such design, or if its sizes do not fit together.
    """
    if name not in DECODERS:
        raise RecipeError(f"decoder.name={name}: there is no such decoder; there are {', '.join(DECODERS)}")
    design = DECODERS[name]
    if design is TopDown:
        if size % heads:
            raise RecipeError(f"decoder.size={size} is not a multiple of decoder.heads={heads}")
        decoder: Decoder = TopDown(channels, embedding, vocabulary, size=size, heads=heads, dropout=dropout)
    else:
        decoder = design(channels, embedding, vocabulary, size=size, dropout=dropout)
    if tied:
        if embedding.table.embedding_dim != size:
            raise RecipeError(
                f"embedding.tied=true needs embedding.size ({embedding.table.embedding_dim}) to be decoder.size ({size})"
            )
        shared = embedding.table.weight
        with torch.no_grad():  # as large as a layer's weights: scores of words begin near 0, not in the dozens
            shared *= size**-0.5 / shared.std()
        decoder.output_head[-1].weight = shared
    return decoder
