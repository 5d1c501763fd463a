"""The vocabulary and the initial model of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from looksay.data import Record
from looksay.errors import RecipeError, RunError
from looksay.models import encoder
from looksay.models.caption_model import CaptionModel
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build
from looksay.training.checkpoint import BEST
from looksay.training.recipe import Recipe
from looksay.training.run_loader import RECIPE, VOCABULARY, best_weights, mean_weights

_SMALL_VOCABULARY = 50

log = logging.getLogger(__name__)


def trained_run(key: str, run: str) -> Path:
    """Return the folder of a run that the recipe key names; a run without a completed epoch raises a RunError."""
    if not (Path(run) / BEST).is_file():
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
            from looksay.training import concept_list

            words += [word for concept in concept_list.read() for word in concept.words]
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


def build_model(recipe: Recipe, vocabulary: Vocabulary) -> CaptionModel:
    """Return the model with its initial weights: pretrained, or those of the runs in ``training.start``."""
    torch.manual_seed(recipe.training.seed)
    if recipe.vocabulary.concepts:
        encoder.classifier(recipe.encoder.name, recipe.encoder.weights)  # raises now what the export would raise
    starts = [Path(run) for run in recipe.training.start]
    model = build.caption_model(recipe, vocabulary, pretrained=not starts)
    weights = []
    for run in starts:
        known = Vocabulary.load(run / VOCABULARY)
        if known != vocabulary and not (recipe.vocabulary.extend and known.tokens == vocabulary.tokens[: len(known)]):
            raise RecipeError(
                f"training.start: {run} has another vocabulary than {starts[0]}: start from runs on the same captions, "
                "or with vocabulary.extend from runs whose words are the first words of the first run"
            )
        own = best_weights(run)
        if known != vocabulary:
            from looksay.training import vocabulary_expansion

            own = vocabulary_expansion.expand(own, known, vocabulary, recipe.embedding.vectors)
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise RecipeError(
                f"training.start: {run} is another model: use [encoder], [embedding] and [decoder] of its {RECIPE}, "
                "and a run of this version of looksay"
            ) from error
        weights.append(own)
    if weights:
        model.load_state_dict(mean_weights(weights))
    return model
