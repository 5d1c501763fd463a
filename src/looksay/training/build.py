"""The vocabulary and the model of a recipe, with its initial weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.data import Record
from looksay.decoding.logits_processors import FUNCTION_WORDS
from looksay.errors import RecipeError, RunError
from looksay.models.caption_model import CaptionModel, build_decoder
from looksay.models.encoder import RANDOM, Encoder, classifier, image_spec
from looksay.models.layers import WordEmbedding
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import recipe_file
from looksay.training.checkpoint import BEST, RECIPE, VOCABULARY, best_weights
from looksay.training.recipe import Recipe

_SMALL_VOCABULARY = 50

log = logging.getLogger(__name__)


def trained_run(key: str, run: str) -> Path:
    """Return the folder of a run that the recipe key names; a run without a completed epoch raises a RunError."""
    if not all((Path(run) / file).is_file() for file in (RECIPE, VOCABULARY, BEST)):
        raise RunError(f"{key}={run} is not a run that has completed an epoch")
    return Path(run)


def build_vocabulary(records: Sequence[Record], recipe: Recipe) -> Vocabulary:
    """Return the vocabulary of the training captions, or of the runs in ``training.start``, extended if required."""
    options, starts = recipe.vocabulary, recipe.training.start
    started = Vocabulary.load(trained_run("training.start", starts[0]) / VOCABULARY) if starts else None
    if started and not options.extend:
        return started
    vocabulary = Vocabulary.build((text for record in records for text in record.references), options.min_count)
    if started:
        words = list(vocabulary.tokens)
        if options.concepts:
            from looksay.training import vocabulary_expansion

            concepts = (one for one in vocabulary_expansion.read_concepts() if one.classes or one.group)
            words += [word for concept in concepts for word in concept.words]
        extended = started.extended(words)
        log.info("vocabulary: %d words of the start and %d new ones", len(started), len(extended) - len(started))
        return extended
    count = len(vocabulary) - len(SPECIAL)
    if not count:
        raise RecipeError(
            f"vocabulary.min_count={options.min_count}: no word of the train split occurs this often; lower it"
        )
    log.info("vocabulary: %d words that occur at least %d times", count, options.min_count)
    if count < _SMALL_VOCABULARY:
        log.warning("a vocabulary this small gives poor captions: lower vocabulary.min_count, or check the captions")
    return vocabulary


def detected_tokens(records: Sequence[Record], vocabulary: Vocabulary, words: int) -> list[int]:
    """Return the ids of the words that the most images have in a caption, without function words."""
    counts = Counter(
        token
        for record in records
        for token in {token for text in record.references for token in vocabulary.encode(text)}
    )
    ignored = {Vocabulary.unk, *vocabulary.known_ids(FUNCTION_WORDS)}
    tokens = [token for token, _ in counts.most_common() if token not in ignored]
    if len(tokens) < words:
        raise RecipeError(
            f"detector.words={words}: the captions have {len(tokens)} such words of the vocabulary: lower it"
        )
    return tokens[:words]


def build_model(recipe: Recipe, vocabulary: Vocabulary, records: Sequence[Record]) -> CaptionModel:
    """Return the model with its initial weights: pretrained, or those of the runs in ``training.start``.

    A detector that these runs lack starts untrained; its words are those of the captions of `records`. So do the layers
    that read the encoder's features, if these runs have another encoder: it starts from its pretrained weights.
    """
    torch.manual_seed(recipe.training.seed)
    if recipe.vocabulary.concepts:
        classifier(recipe.encoder.name, recipe.encoder.weights)  # raises now what the export would raise
    starts = [trained_run("training.start", run) for run in recipe.training.start]
    same_encoder = all(_encoder(run) == recipe.encoder.name for run in starts)
    model = caption_model(recipe, vocabulary, pretrained=not starts or not same_encoder)
    if model.detector is not None:
        tokens = detected_tokens(records, vocabulary, recipe.detector.words)
        model.detector.tokens = torch.tensor(tokens, dtype=torch.int64)
    weights = [_weights_of_start(run, model, recipe, vocabulary) for run in starts]
    for run, own in zip(starts, weights, strict=True):
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise RecipeError(
                f"training.start: {run} is another model: use [embedding] and [decoder] of its {RECIPE}, "
                "and a run of this version of looksay"
            ) from error
        if model.detector is not None and not torch.equal(own["detector.tokens"], weights[0]["detector.tokens"]):
            raise RecipeError(
                f"training.start: {run} detects other words than {starts[0]}: a mean needs the same words"
            )
    if weights:
        model.load_state_dict(mean_weights(weights))
    return model


def _encoder(run: Path) -> str:
    return recipe_file.load(run / RECIPE).encoder.name


def _weights_of_start(run: Path, model: CaptionModel, recipe: Recipe, vocabulary: Vocabulary) -> dict[str, Tensor]:
    """Return the weights of a run in ``training.start``; what the run lacks is taken from `model`, untrained."""
    starts, known = recipe.training.start, Vocabulary.load(run / VOCABULARY)
    if known != vocabulary and not (recipe.vocabulary.extend and known.tokens == vocabulary.tokens[: len(known)]):
        raise RecipeError(
            f"training.start: {run} has another vocabulary than {starts[0]}: start from runs on the same captions, "
            "or with vocabulary.extend from runs whose words are the first words of the first run"
        )
    weights = best_weights(run)
    if known != vocabulary:
        from looksay.training import vocabulary_expansion

        weights = vocabulary_expansion.expand(weights, known, vocabulary, recipe.embedding.vectors)
    untrained = {name: value.clone() for name, value in model.state_dict().items()}
    if not any(name.startswith("detector.") for name in weights):
        if model.detector is not None and len(starts) > 1:
            raise RecipeError(f"training.start: {run} has no word detector: a mean needs one in all runs or none")
        weights |= {name: value for name, value in untrained.items() if name.startswith("detector.")}
    if _encoder(run) == recipe.encoder.name:
        return weights
    decoder = {name: value for name, value in weights.items() if not name.startswith("encoder.")}
    return decoder | {name: value for name, value in untrained.items() if _reads_features(name, value, decoder, model)}


def _reads_features(name: str, value: Tensor, decoder: dict[str, Tensor], model: CaptionModel) -> bool:
    """Tell if a parameter belongs to the encoder, or to a layer that reads features of another width than before."""
    other = name in decoder and decoder[name].shape != value.shape
    return name.startswith("encoder.") or (other and model.encoder.channels in value.shape)


def mean_weights(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of the weights of models with the same parameters."""
    first, *others = weights
    if not others:
        return first
    return {name: sum((one[name].double() for one in others), first[name].double()) / len(weights) for name in first}


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
        image_spec(recipe.encoder.name, recipe.image.size or None, recipe.image.resize),
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
        _vectors(recipe, vocabulary) if pretrained and embedding.vectors and not recipe.training.start else None,
        trainable=embedding.trainable,
    )
    design = build_decoder(
        **asdict(decoder),
        channels=encoder.channels,
        embedding=word_embedding,
        vocab_size=len(vocabulary),
        tied=embedding.tied,
    )
    detector = None
    if recipe.detector.words:
        from looksay.models.word_detector import WordDetector

        tokens = range(recipe.detector.words)  # `build_model` chooses them
        detector = WordDetector(encoder.channels, tokens, recipe.detector.size, recipe.detector.dropout)
    return CaptionModel(encoder, design, detector)


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
