"""Concept calibration: the probability that people mention what the encoder's ImageNet classes detect."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from looksay.captioner import Captioner
from looksay.data import Record
from looksay.decoding.state import DecoderState
from looksay.errors import DataError
from looksay.evaluation.evaluate import prepare_readable
from looksay.metrics import Scorer
from looksay.runtime.onnx_model import SCORES
from looksay.tagging.concepts import ConceptTable, logit
from looksay.text.tokenizer import tokenize
from looksay.training import vocabulary_expansion

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_MAX_IMAGES = 3000  # of a split
_BATCH = 8
_MIN_SHARE = 0.005  # images with a smaller share of a concept's classes do not count for its bias
_PRIOR_STD = 1.0  # standard deviation of a concept's bias around the mean bias
_TOLERANCE = 0.002  # CIDEr-D differences below this are noise: the highest threshold within it is chosen
_NEWTON_STEPS = 30

log = logging.getLogger(__name__)


def calibrate(captioner: Captioner, train: Sequence[Record], val: Sequence[Record], min_count: int) -> ConceptTable:
    """Build the concept table of a captioner that has none and whose encoder outputs ImageNet class scores.

    The probabilities are fitted to `train`. The threshold is the highest of `THRESHOLDS` whose CIDEr-D on `val` (the
    mean over the data sets of a mixture) equals the best but for noise. Words that occur less often than `min_count`
    in the training captions are rare words.
    """
    vocabulary = set(captioner.bundle.vocabulary.tokens)
    counts = Counter(word for record in train for text in record.references for word in tokenize(text))
    concepts = tuple(concept for concept in vocabulary_expansion.read_concepts() if vocabulary & set(concept.words))
    known_words = (word for concept in concepts for word in concept.words if word in vocabulary)
    rare_words = tuple(dict.fromkeys(word for word in known_words if counts[word] < min_count))
    scores, references = [], []
    for state, records in _encoded(captioner, _sample(train)):
        scores.append(state.memory[f"0.{SCORES}"])
        references += [record.references for record in records]
    if not scores:
        raise DataError("no image of the train split can be read, so concepts cannot be calibrated: check --data.")
    table = fit(ConceptTable(concepts, rare_words=rare_words), np.concatenate(scores), references)
    return replace(table, threshold=_choose_threshold(captioner, table, val))


def fit(table: ConceptTable, scores: NDArray[np.floating], references: Sequence[Sequence[str]]) -> ConceptTable:
    """Fit a table's scale and biases to how often people mention each concept (Platt scaling).

    `scores` are class scores before the softmax, shape (images, classes); `references` are the captions of each image.
    """
    shares = table.shares(scores)
    caption_words = [{word for text in texts for word in tokenize(text)} for texts in references]
    is_mentioned = np.array([[not words.isdisjoint(c.named_by) for c in table.concepts] for words in caption_words])
    image, concept = np.nonzero(shares >= _MIN_SHARE)
    logits, labels = logit(shares[image, concept]), is_mentioned[image, concept].astype(float)
    features = np.stack([logits, np.ones_like(logits)])
    scale, mean_bias, bias = 1.0, 0.0, np.zeros(len(table.concepts))
    for _ in range(_NEWTON_STEPS):  # of Newton's method, alternately for scale and mean bias and for each bias
        probabilities = 1 / (1 + np.exp(-(scale * logits + bias[concept])))
        residuals, weights = labels - probabilities, probabilities * (1 - probabilities) + 1e-6
        step = np.linalg.solve((features * weights) @ features.T, features @ residuals)
        scale, mean_bias, bias = scale + step[0], mean_bias + step[1], bias + step[1]
        probabilities = 1 / (1 + np.exp(-(scale * logits + bias[concept])))
        residuals, weights = labels - probabilities, probabilities * (1 - probabilities)
        gradient = np.bincount(concept, residuals, len(bias)) - (bias - mean_bias) / _PRIOR_STD**2
        bias = bias + gradient / (np.bincount(concept, weights, len(bias)) + 1 / _PRIOR_STD**2)
    fitted = tuple(replace(c, bias=round(float(b), 4)) for c, b in zip(table.concepts, bias, strict=True))
    return replace(table, concepts=fitted, scale=round(float(scale), 4))


def _choose_threshold(captioner: Captioner, table: ConceptTable, val: Sequence[Record]) -> float:
    batches = list(_encoded(captioner, _sample(val)))
    records = [record for _, batch in batches for record in batch]
    options, vocabulary = captioner.bundle.spec.decoding, captioner.bundle.vocabulary
    means: dict[float, float] = {}
    for threshold in THRESHOLDS:
        tagger = Captioner(replace(captioner.bundle, tags=replace(table, threshold=threshold)))
        hypotheses = [candidates[0] for state, _ in batches for candidates in tagger.decode(state, options)]
        scores = _score_by_source(records, [vocabulary.decode(hypothesis.tokens) for hypothesis in hypotheses])
        log.info("tag threshold %.1f: %s", threshold, ", ".join(f"{name} {100 * s:.1f}" for name, s in scores.items()))
        means[threshold] = sum(scores.values()) / len(scores)
    return max(threshold for threshold, mean in means.items() if mean >= max(means.values()) - _TOLERANCE)


def _sample(records: Sequence[Record]) -> list[Record]:
    """Return at most `_MAX_IMAGES` records, evenly spaced."""
    rows = np.linspace(0, len(records) - 1, min(_MAX_IMAGES, len(records)))
    return [records[row] for row in rows.astype(int)]


def _score_by_source(records: Sequence[Record], captions: Sequence[str]) -> dict[str, float]:
    """Return CIDEr-D for each data set of a mixture."""
    scores = {}
    for source in dict.fromkeys(record.source for record in records):
        rows = [row for row, record in enumerate(records) if record.source == source]
        scorer = Scorer([records[row].references for row in rows])
        scores[source or "val"] = scorer.scores([captions[row] for row in rows])["CIDEr-D"]
    return scores


def _encoded(captioner: Captioner, records: Sequence[Record]) -> Iterator[tuple[DecoderState, list[Record]]]:
    """Encode the readable images batch by batch."""
    for start in range(0, len(records), _BATCH):
        images, readable = prepare_readable(captioner, records[start : start + _BATCH], [])
        if images:
            yield captioner.encode(images), readable
