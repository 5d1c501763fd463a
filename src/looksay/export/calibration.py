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
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import DecoderState, Hypothesis
from looksay.errors import DataError
from looksay.evaluation.evaluate import readable_batches
from looksay.metrics import Scorer
from looksay.runtime.onnx_model import SCORES
from looksay.tagging.concepts import ConceptTable, logit
from looksay.text.tokenizer import tokenize
from looksay.training import vocabulary_expansion

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

MARGINS = (0.1, 0.2, 0.3, 0.5, 100.0)

_MAX_IMAGES = 3000  # of a split
_BATCH = 8
_MIN_SHARE = 0.005  # images with a smaller share of a concept's classes do not count for its bias
_BIAS_STD = 1.0  # standard deviation of a concept's bias around the mean bias
_WEAK = 1e-3  # penalty of the scale and the mean bias, so that few images have a solution too
_TOLERANCE = 0.002  # CIDEr-D differences below this are noise: the highest threshold within it is chosen
_NEWTON_STEPS = 30

log = logging.getLogger(__name__)


def calibrate(captioner: Captioner, train: Sequence[Record], val: Sequence[Record], min_count: int) -> ConceptTable:
    """Build the concept table of a captioner that has none and whose encoder outputs ImageNet class scores.

    The probabilities are fitted to `train`. The threshold is the highest of `THRESHOLDS`, and then the margin the
    smallest of `MARGINS`, whose CIDEr-D on `val` (the mean over the data sets of a mixture) equals the best but for
    noise. Words that occur less often than `min_count`
    in the training captions are rare words.
    """
    vocabulary = set(captioner.bundle.vocabulary.tokens)
    counts = Counter(word for record in train for text in record.references for word in tokenize(text))
    concepts = tuple(concept for concept in vocabulary_expansion.read_concepts() if vocabulary & set(concept.words))
    known_words = (word for concept in concepts for word in concept.words if word in vocabulary)
    rare_words = tuple(dict.fromkeys(word for word in known_words if counts[word] < min_count))
    scores, references = [], []
    for state, records in _encode_batches(captioner, train):
        scores.append(state.memory[f"0.{SCORES}"])
        references += [record.references for record in records]
    if not scores:
        raise DataError("no image of the train split can be read, so concepts cannot be calibrated: check --data.")
    table = fit(ConceptTable(concepts, rare_words=rare_words), np.concatenate(scores), references)
    return _tuned(captioner, table, val)


def fit(table: ConceptTable, scores: NDArray[np.floating], references: Sequence[Sequence[str]]) -> ConceptTable:
    """Fit a table's scale and biases to how often people mention each concept (Platt scaling).

    `scores` are class scores before the softmax, shape (images, classes); `references` are the captions of each image.
    """
    shares = table.shares(scores)
    caption_words = [{word for text in texts for word in tokenize(text)} for texts in references]
    is_mentioned = np.array([[not words.isdisjoint(c.named_by) for c in table.concepts] for words in caption_words])
    image, concept = np.nonzero(shares >= _MIN_SHARE)
    labels = is_mentioned[image, concept].astype(float)
    # Logistic regression by Newton's method. The parameters are the scale, the mean bias and the deviations from it.
    of_concept = np.eye(len(table.concepts))[concept]
    features = np.column_stack([logit(shares[image, concept]), np.ones(len(labels)), of_concept])
    prior, penalty = np.zeros(features.shape[1]), np.full(features.shape[1], 1 / _BIAS_STD**2)
    prior[0], penalty[:2] = 1, _WEAK
    parameters = prior
    for _ in range(_NEWTON_STEPS):
        probabilities = 1 / (1 + np.exp(-features @ parameters))
        gradient = (labels - probabilities) @ features - penalty * (parameters - prior)
        weighted = features * (probabilities * (1 - probabilities))[:, None]
        parameters = parameters + np.linalg.solve(weighted.T @ features + np.diag(penalty), gradient)
    scale, mean_bias, *deviations = parameters.tolist()
    pairs = zip(table.concepts, deviations, strict=True)
    fitted = tuple(replace(concept, bias=round(mean_bias + deviation, 4)) for concept, deviation in pairs)
    return replace(table, concepts=fitted, scale=round(scale, 4))


def _tuned(captioner: Captioner, table: ConceptTable, val: Sequence[Record]) -> ConceptTable:
    """Return the table with its threshold and its margin."""
    batches = list(_encode_batches(captioner, val))
    records = [record for _, batch in batches for record in batch]
    options, vocabulary = captioner.bundle.spec.decoding, captioner.bundle.vocabulary

    def decode(options: DecodingOptions, threshold: float = 1.0) -> list[Hypothesis]:
        tagger = Captioner(replace(captioner.bundle, tags=replace(table, threshold=threshold)))
        return [candidates[0] for state, _ in batches for candidates in tagger.decode(state, options)]

    plain = decode(replace(options, tags=False))
    means: dict[tuple[float, float], float] = {}
    for threshold in THRESHOLDS:
        mentions = decode(options, threshold)
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
    for source in dict.fromkeys(record.source for record in records):
        rows = [row for row, record in enumerate(records) if record.source == source]
        scorer = Scorer([records[row].references for row in rows])
        scores[source or "val"] = scorer.scores([captions[row] for row in rows])["CIDEr-D"]
    return scores


def _encode_batches(captioner: Captioner, records: Sequence[Record]) -> Iterator[tuple[DecoderState, list[Record]]]:
    """Encode at most `_MAX_IMAGES` images, evenly spaced, in batches; leave out those that cannot be read."""
    rows = np.linspace(0, len(records) - 1, min(_MAX_IMAGES, len(records))).astype(int)
    for prepared, readable in readable_batches(captioner, (records[row] for row in rows), _BATCH, []):
        yield captioner.encode(prepared), readable
