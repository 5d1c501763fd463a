"""The confidence model of a captioner, fitted to its captions of val images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from looksay.captioner import DETECTED_WORDS, Captioner
from looksay.data import Record
from looksay.data.records import by_source
from looksay.evaluation.evaluate import readable_batches
from looksay.export import logistic_regression
from looksay.metrics.word_precision import WordPrecision
from looksay.tagging.confidence import FEATURES, ConfidenceModel
from looksay.text.tokenizer import tokenize

RIGHT = 2 / 3
"""Word precision from which a caption counts as right: as many of the shipped model's captions as graders accept."""

CONFIDENCES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

_PENALTY = 1e-3  # of the weights, per caption

log = logging.getLogger(__name__)


class Point(NamedTuple):
    """The share of captions that have at least a confidence, and the share of these that are right."""

    confidence: float
    coverage: float
    precision: float


class _Captions(NamedTuple):
    """Captions, their features, and whether they are right: their word precision is at least `RIGHT`."""

    features: NDArray[np.float64]  # (captions, features)
    right: NDArray[np.bool_]


def fit(captioner: Captioner, words: Sequence[str], val: Sequence[Record]) -> ConfidenceModel:
    """Fit a confidence model to a captioner's best captions of the val split; `words` are those of the detector.

    `captioner` has no confidence and no tags yet: these are its most probable captions.
    """
    blank = ConfidenceModel(tuple(words), (0.0,) * len(FEATURES), 0.0)
    weights, bias = _fitted(*_captions(captioner, blank, val))
    return replace(blank, weights=tuple(weights), bias=bias)


def measure(captioner: Captioner, trust: ConfidenceModel, val: Sequence[Record]) -> list[Point]:
    """Return what a captioner's confidence, `trust`, is worth for its best captions of the val split."""
    features, right = _captions(captioner, trust, val)
    values = 1 / (1 + np.exp(-(features @ trust.weights + trust.bias)))
    curve = [
        Point(least, float(is_used.mean()), float(right[is_used].mean()))
        for least in CONFIDENCES
        if (is_used := values >= least).any()
    ]
    for point in curve:
        log.info("confidence %.1f or more: %.0f %% of the captions, of which %.0f %% are right", point.confidence,
                 100 * point.coverage, 100 * point.precision)  # fmt: skip
    return curve


def _captions(captioner: Captioner, trust: ConfidenceModel, val: Sequence[Record]) -> _Captions:
    """Return the best captions of images that can be read."""
    options, vocabulary = captioner.bundle.spec.decoding, captioner.bundle.vocabulary
    features, captions, records = [], [], []
    for prepared, readable in readable_batches(captioner, val):
        state = captioner.encode(prepared)
        for image, (best, *_) in enumerate(captioner.decode(state, options)):
            tokens = vocabulary.to_tokens(best.tokens)
            features.append(trust.features(tokens, best.log_prob, state.memory[DETECTED_WORDS][image]))
            captions.append(vocabulary.decode(best.tokens))
        records += readable
    return _Captions(np.array(features), _word_precision(records, captions) >= RIGHT)


def _fitted(features: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[list[float], float]:
    """Return the weights and the bias of features (captions, features); the penalty is of standardised features."""
    mean, std = features.mean(axis=0), features.std(axis=0) + 1e-9
    design = np.column_stack([(features - mean) / std, np.ones(len(features))])
    penalty = np.full(design.shape[1], _PENALTY * len(design))
    penalty[-1] = 1e-9
    *weights, bias = logistic_regression.fit(design, labels, np.zeros(design.shape[1]), penalty)
    weights = np.array(weights) / std
    return [round(float(weight), 5) for weight in weights], round(float(bias - weights @ mean), 5)


def _word_precision(records: Sequence[Record], captions: Sequence[str]) -> NDArray[np.float64]:
    """Return the word precision of each caption; the rarity of words is that in its data set."""
    precisions = np.zeros(len(captions))
    for rows in by_source(records).values():
        references = [[tokenize(text) for text in records[row].references] for row in rows]
        precisions[rows] = WordPrecision(references).image_scores([tokenize(captions[row]) for row in rows])
    return precisions
