"""Concept calibration: the probability that people mention what the encoder's ImageNet classes detect."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksay.captioner import CLASS_SCORES, DETECTED_WORDS, Captioner
from looksay.data import Record
from looksay.data.records import VAL_IMAGES, by_source
from looksay.decoding.state import DecoderState, Hypothesis
from looksay.errors import DataError
from looksay.evaluation.evaluate import readable_batches
from looksay.export import logistic_regression
from looksay.metrics import Scorer
from looksay.tagging.concepts import Calibration, ConceptTable, add_mentions, decode_freely
from looksay.text.tokenizer import tokenize
from looksay.training import vocabulary_expansion

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

MARGINS = (0.1, 0.2, 0.3, 0.5)

_MAX_IMAGES = 3000  # of a split
_LEAST_ODDS = math.log(0.005 / 0.995)  # images where a concept is less probable do not count for its bias
_BIAS_STD = 1.0  # standard deviation of a concept's bias around the mean bias
_WEAK = 1e-3  # penalty of the scale and the mean bias, so that few images have a solution too
_TOLERANCE = 0.002  # CIDEr-D differences below this are noise: the highest threshold within it is chosen

log = logging.getLogger(__name__)


def calibrate(
    captioner: Captioner, train: Sequence[Record], val: Sequence[Record], min_count: int, words: Sequence[str] = ()
) -> ConceptTable:
    """Build the concept table of a captioner that has none and whose encoder outputs ImageNet class scores.

    `words` are those of its word detector, if it has one. The probabilities are fitted to `train`. The threshold is the
    highest of `THRESHOLDS`, and then the margin the smallest of `MARGINS`, whose CIDEr-D on `val` (the mean over the
    data sets of a mixture) equals the best but for noise. Words that occur less often than `min_count` in the training
    captions are rare words.
    """
    counts = Counter(word for record in train for text in record.references for word in tokenize(text))
    table = _table(set(captioner.bundle.vocabulary.tokens), counts, min_count, words)
    evidence, references = [], []
    for state, records in _encode_batches(captioner, train):
        evidence.append(table.evidence(state.memory[CLASS_SCORES], state.memory.get(DETECTED_WORDS)))
        references += [record.references for record in records]
    if not evidence:
        raise DataError("no image of the train split can be read, so concepts cannot be calibrated: check --data.")
    table = fit(table, np.concatenate(evidence), references)
    return _tuned(captioner, table, val)


def _table(known: set[str], counts: Mapping[str, int], min_count: int, words: Sequence[str]) -> ConceptTable:
    """Return the table of concepts that a vocabulary and a detector know."""
    places = {word: place for place, word in enumerate(words)}
    concepts = []
    for concept in vocabulary_expansion.read_concepts():
        detected = tuple(places[word] for word in concept.words if word in places)
        if known & set(concept.words) and (concept.classes or concept.group or detected):
            concepts.append(replace(concept, detected=detected))
    names = (word for concept in concepts for word in concept.words if word in known)
    return ConceptTable(tuple(concepts), rare_words=tuple({w: None for w in names if counts[w] < min_count}))


def fit(table: ConceptTable, evidence: NDArray[np.float64], references: Sequence[Sequence[str]]) -> ConceptTable:
    """Fit the scales and biases of a table's concepts to how often people mention each (Platt scaling).

    `evidence` has the log-odds of `ConceptTable.evidence`, shape (images, concepts, 2); `references` are the captions
    of each image. Concepts that are recognised by classes, by the word detector, and by both are fitted apart; those by
    classes are fitted once more without the detector.
    """
    caption_words = [{word for text in texts for word in tokenize(text)} for texts in references]
    mentions = {
        # A detected "boat" says that people mention a boat; it must not say that they mention a canoe.
        "by_all": _mentions(caption_words, [one.words if one.detected else one.named_by for one in table.concepts]),
        "by_classes": _mentions(caption_words, [one.named_by for one in table.concepts]),
    }
    concepts = list(table.concepts)
    kinds = [(bool(concept.classes), bool(concept.detected)) for concept in concepts]
    parts = [("by_all", kind, [own == kind for own in kinds]) for kind in set(kinds)]
    parts.append(("by_classes", (True, False), [has_classes for has_classes, _ in kinds]))
    for name, kind, is_part in parts:
        places = np.flatnonzero(is_part)
        if any(kind) and len(places):
            calibrations = _platt(evidence[:, places], mentions[name][:, places], kind)
            for place, calibration in zip(places, calibrations, strict=True):
                change: dict[str, Any] = {name: calibration}
                concepts[place] = replace(concepts[place], **change)
    return replace(table, concepts=tuple(concepts))


def _mentions(captions: Sequence[set[str]], names: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """Return whether the words of captions (images) have any of the names of concepts (images, concepts)."""
    return np.array([[not words.isdisjoint(own) for own in names] for words in captions])


def _platt(odds: NDArray[np.float64], labels: NDArray[np.bool_], kind: tuple[bool, bool]) -> list[Calibration]:
    """Return the calibrations of concepts whose kinds of evidence (images, concepts, 2) are used as `kind` says.

    They share their scales; their biases deviate from a mean.
    """
    used = np.flatnonzero(kind)
    image, concept = np.nonzero((odds[:, :, used] >= _LEAST_ODDS).any(axis=2))
    # The parameters are the scales, the mean bias and the deviations from it.
    of_concept = np.eye(labels.shape[1])[concept]
    features = np.column_stack([odds[image, concept][:, used], np.ones(len(image)), of_concept])
    prior, penalty = np.zeros(features.shape[1]), np.full(features.shape[1], 1 / _BIAS_STD**2)
    prior[: len(used)], penalty[: len(used) + 1] = 1 / len(used), _WEAK
    parameters = logistic_regression.fit(features, labels[image, concept], prior, penalty).round(4).tolist()
    scales, (mean_bias, *deviations) = iter(parameters[: len(used)]), parameters[len(used) :]
    share, word = (next(scales) if is_used else 0.0 for is_used in kind)
    return [Calibration(share, word, round(mean_bias + deviation, 4)) for deviation in deviations]


def _tuned(captioner: Captioner, table: ConceptTable, val: Sequence[Record]) -> ConceptTable:
    """Return the table with its threshold and its margin."""
    batches = list(_encode_batches(captioner, val))
    records = [record for _, batch in batches for record in batch]
    for source, rows in by_source(records).items():
        if len(rows) < VAL_IMAGES:
            raise DataError(f"{source or 'the val split'} has one readable image: CIDEr-D needs 2 or more.")
    options, vocabulary = captioner.bundle.spec.decoding, captioner.bundle.vocabulary

    rescores = [captioner.rescore(state, options) for state, _ in batches]
    captions = [
        decode_freely(captioner.step, state, options, vocabulary, table, rescore)
        for (state, _), rescore in zip(batches, rescores, strict=True)
    ]

    def best(threshold: float) -> Iterator[Hypothesis]:
        own = replace(table, threshold=threshold)
        for (state, _), hypotheses, rescore in zip(batches, captions, rescores, strict=True):
            probabilities = table.class_probabilities(state.memory[CLASS_SCORES])
            mentions = add_mentions(captioner.step, state, options, vocabulary, own, probabilities, hypotheses, rescore)
            yield from (first for first, *_ in mentions)

    plain = [first for hypotheses in captions for first, *_ in hypotheses]
    means: dict[tuple[float, float], float] = {}
    for threshold in THRESHOLDS:
        mentions = list(best(threshold))
        for margin in MARGINS:
            pairs = zip(mentions, plain, strict=True)
            kept = [mention if mention.score >= free.score - margin else free for mention, free in pairs]
            scores = _score_by_source(records, [vocabulary.decode(hypothesis.tokens) for hypothesis in kept])
            means[threshold, margin] = sum(scores.values()) / len(scores)
            shown = ", ".join(f"{name} {100 * score:.1f}" for name, score in scores.items())
            log.info("tag threshold %.1f, margin %.1f: %s", threshold, margin, shown)
    good = {choice for choice, mean in means.items() if mean >= max(means.values()) - _TOLERANCE}
    threshold = max(threshold for threshold, _ in good)
    return replace(table, threshold=threshold, margin=min(margin for own, margin in good if own == threshold))


def _score_by_source(records: Sequence[Record], captions: Sequence[str]) -> dict[str, float]:
    """Return CIDEr-D for each data set of a mixture."""
    scores = {}
    for source, rows in by_source(records).items():
        scorer = Scorer([records[row].references for row in rows])
        scores[source or "val"] = scorer.scores([captions[row] for row in rows])["CIDEr-D"]
    return scores


def _encode_batches(captioner: Captioner, records: Sequence[Record]) -> Iterator[tuple[DecoderState, list[Record]]]:
    """Encode at most `_MAX_IMAGES` images, evenly spaced, in batches; leave out those that cannot be read."""
    rows = np.linspace(0, len(records) - 1, min(_MAX_IMAGES, len(records))).astype(int)
    for prepared, readable in readable_batches(captioner, (records[row] for row in rows)):
        yield captioner.encode(prepared), readable
