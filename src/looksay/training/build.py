"""The model of a recipe, and its precision."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

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
    """Return the input of the recipe's encoder: its pretraining's, with the size and resize rule of ``[image]``."""
    return image_spec(recipe.encoder.name, recipe.image.size or None, recipe.image.resize)


def caption_model(recipe: Recipe, vocabulary: Vocabulary, *, pretrained: bool = True) -> CaptionModel:
    """Build the model of a recipe.

    `pretrained` loads the encoder's weights and the word vectors; this is not needed where trained weights follow.

    Raises
    ------
    RecipeError, DataError
        If the encoder or the decoder cannot be built, or if the word vectors cannot be read.
    """
    encoder = Encoder(
        recipe.encoder.name,
        model_image_spec(recipe),
        recipe.encoder.weights if pretrained else RANDOM,
        features=recipe.encoder.features,
        trainable=recipe.encoder.trainable,
    )
    decoder, embedding = recipe.decoder, recipe.embedding
    word_embedding = WordEmbedding(
        len(vocabulary),
        embedding.size or decoder.size,
        decoder.size,
        decoder.dropout,
        _vectors(recipe, vocabulary) if pretrained and embedding.vectors else None,
        trainable=embedding.trainable,
    )
    design = registry.build(
        **asdict(decoder),
        channels=encoder.channels,
        embedding=word_embedding,
        vocab_size=len(vocabulary),
        tied=embedding.tied,
    )
    return CaptionModel(encoder, design)


def _vectors(recipe: Recipe, vocabulary: Vocabulary) -> NDArray[np.float32]:
    from looksay.data import word_vectors

    embedding, size = recipe.embedding, recipe.embedding.size or recipe.decoder.size
    vectors, count = word_vectors.read(Path(embedding.vectors), vocabulary.tokens, recipe.training.seed)
    if vectors.shape[1] != size:
        raise RecipeError(
            f"embedding.vectors={embedding.vectors} has vectors of size {vectors.shape[1]}: set embedding.size to that"
        )
    log.info("word vectors: %d of %d words are in %s", count, len(vocabulary), embedding.vectors)
    return vectors


def precision(option: str) -> Any:
    """Return Lightning's name of a precision; ``auto`` is bf16 where the hardware computes in it, else fp32."""
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return "bf16-mixed" if option == "bf16" or (option == "auto" and has_bf16) else "32-true"
