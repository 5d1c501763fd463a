"""A recipe → its model, and the precision to compute it in."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from looksay.data import word_vectors
from looksay.errors import RecipeError
from looksay.models import registry
from looksay.models.caption_model import CaptionModel
from looksay.models.encoder import RANDOM, Encoder, image_spec
from looksay.models.word_embedding import WordEmbedding
from looksay.text.vocabulary import Vocabulary
from looksay.training.recipe import Recipe
from looksay.types import ImageSpec

log = logging.getLogger(__name__)


def model_image_spec(recipe: Recipe) -> ImageSpec:
    """Return how a recipe's images are prepared: as its encoder expects, but for what ``[image]`` says."""
    return image_spec(recipe.encoder.name, recipe.image.size or None, recipe.image.resize)


def caption_model(recipe: Recipe, vocabulary: Vocabulary, *, pretrained: bool = True) -> CaptionModel:
    """Build the model of a recipe.

    Parameters
    ----------
    pretrained : bool
        Whether the encoder's weights and word vectors are loaded; not wanted where trained ones follow.

    Raises
    ------
    RecipeError
        If the encoder or the decoder cannot be built.
    DataError
        If the word vectors cannot be read.
    """
    options = recipe.encoder
    weights = options.weights if pretrained else RANDOM
    encoder = Encoder(
        options.name,
        model_image_spec(recipe),
        weights,
        pooled=options.features == "pooled",
        trainable=options.trainable,
    )
    sizes, embedding = recipe.decoder, recipe.embedding
    word_embedding = WordEmbedding(
        len(vocabulary),
        embedding.size or sizes.size,
        sizes.size,
        sizes.dropout,
        _vectors(recipe, vocabulary) if pretrained and embedding.vectors else None,
        trainable=embedding.trainable,
    )
    decoder = registry.build(
        sizes.name,
        encoder.channels,
        word_embedding,
        len(vocabulary),
        size=sizes.size,
        heads=sizes.heads,
        dropout=sizes.dropout,
        tied=embedding.tied,
    )
    return CaptionModel(encoder, decoder)


def _vectors(recipe: Recipe, vocabulary: Vocabulary) -> NDArray[np.float32]:
    embedding, size = recipe.embedding, recipe.embedding.size or recipe.decoder.size
    found, count = word_vectors.read(Path(embedding.vectors), vocabulary.tokens, recipe.training.seed)
    if found.shape[1] != size:
        raise RecipeError(
            f"embedding.vectors={embedding.vectors} has {found.shape[1]} numbers a word; set embedding.size to that"
        )
    log.info("word vectors: %d of %d words are in %s", count, len(vocabulary), embedding.vectors)
    return found


def precision(wanted: str) -> Any:
    """Return Lightning's name of a precision; ``auto`` is bf16 where the hardware multiplies in it, else fp32."""
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return "bf16-mixed" if wanted == "bf16" or (wanted == "auto" and has_bf16) else "32-true"
