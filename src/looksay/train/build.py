"""A recipe → its model."""

from __future__ import annotations

from looksay.nets import decoders
from looksay.nets.encoder import RANDOM, Encoder, image_spec
from looksay.nets.model import CaptionModel
from looksay.specs import ImageSpec
from looksay.train.config import Recipe
from looksay.vocabulary import Vocabulary


def picture_spec(recipe: Recipe) -> ImageSpec:
    """Return how a recipe's pictures are prepared: as its encoder expects, but for what ``[image]`` says."""
    return image_spec(recipe.encoder.name, recipe.image.size or None, recipe.image.resize)


def caption_model(recipe: Recipe, vocabulary: Vocabulary, *, pretrained: bool = True) -> CaptionModel:
    """Build the model of a recipe.

    Parameters
    ----------
    pretrained : bool
        Whether the encoder's weights are loaded; not wanted where trained ones follow.

    Raises
    ------
    RecipeError
        If the encoder or the decoder cannot be built.
    """
    options = recipe.encoder
    weights = options.weights if pretrained else RANDOM
    encoder = Encoder(options.name, picture_spec(recipe), weights, trainable=options.trainable)
    sizes = recipe.decoder
    decoder = decoders.build(
        sizes.name, encoder.channels, len(vocabulary), size=sizes.size, heads=sizes.heads, dropout=sizes.dropout
    )
    return CaptionModel(encoder, decoder)
