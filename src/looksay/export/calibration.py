"""What a captioner's encoder recognises: a table of nouns whose probabilities are fitted to what people mention."""

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
from looksay.training import concept_list

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_IMAGES = 3000  # of a split, at most, that are looked at
_BATCH = 8
_LEAST_SHARE = 0.005  # images in which a noun's classes have less say nothing about it
_PRIOR = 1.0  # how far a noun's bias strays from the others', as a standard deviation
_NOISE = 0.002  # of CIDEr-D: among thresholds that are so near, the one that asks least often is best
_STEPS = 30  # of Newton's method

log = logging.getLogger(__name__)


def table(captioner: Captioner, train: Sequence[Record], val: Sequence[Record], min_count: int) -> ConceptTable:
    """Make the table for a captioner whose encoder tells ImageNet's classes.

    Parameters
    ----------
    captioner : Captioner
        Without a table.
    train : sequence of Record
        Where it is fitted how often people mention a noun that is seen.
    val : sequence of Record
        Where the threshold is chosen: of `THRESHOLDS` the one of the best CIDEr-D (the mean over the sets of a
        mixture), or the highest one that is as good but for noise.
    min_count : int
        Words that the training captions have less often are quiet.

    Raises
    ------
    DataError
        If none of the images can be read.
    """
    vocabulary = set(captioner.bundle.vocabulary.tokens)
    counts = Counter(word for record in train for text in record.references for word in tokenize(text))
    known = tuple(noun for noun in concept_list.read() if vocabulary & set(noun.words))
    quiet = tuple(dict.fromkeys(w for noun in known for w in noun.words if w in vocabulary and counts[w] < min_count))
    looked = [(state.memory[f"0.{SCORES}"], read) for state, read in _looks(captioner, _some(train))]
    if not looked:
        raise DataError("none of the train split's images can be read, so nouns cannot be fitted to them; see --data")
    scores = np.concatenate([of_some for of_some, _ in looked])
    found = fit(
        ConceptTable(known, rare_words=quiet), scores, [record.references for _, read in looked for record in read]
    )
    return replace(found, threshold=_threshold(captioner, found, val))


def fit(table: ConceptTable, scores: NDArray[np.floating], references: Sequence[Sequence[str]]) -> ConceptTable:
    """Fit a table's scale and biases to which nouns people mention.

    Parameters
    ----------
    table : ConceptTable
    scores : ndarray, shape (images, classes)
    references : for each image, its captions
    """
    seen = table.shares(scores)
    said = [{word for text in texts for word in tokenize(text)} for texts in references]
    mentioned = np.array([[not words.isdisjoint(noun.named_by) for noun in table.concepts] for words in said])
    image, noun = np.nonzero(seen >= _LEAST_SHARE)
    odds, right = logit(seen[image, noun]), mentioned[image, noun].astype(float)
    scale, bias = 1.0, np.zeros(len(table.concepts))
    middle = 0.0
    for _ in range(_STEPS):  # Newton's method, in turns: the scale and the middle, then each noun's own bias
        likely = 1 / (1 + np.exp(-(scale * odds + bias[noun])))
        wrong, sure = right - likely, likely * (1 - likely) + 1e-6
        columns = np.stack([odds, np.ones_like(odds)])
        step = np.linalg.solve((columns * sure) @ columns.T, columns @ wrong)
        scale, middle, bias = scale + step[0], middle + step[1], bias + step[1]
        likely = 1 / (1 + np.exp(-(scale * odds + bias[noun])))
        wrong, sure = right - likely, likely * (1 - likely)
        pull = np.bincount(noun, wrong, len(bias)) - (bias - middle) / _PRIOR**2
        bias = bias + pull / (np.bincount(noun, sure, len(bias)) + 1 / _PRIOR**2)
    fitted = tuple(replace(each, bias=round(float(own), 4)) for each, own in zip(table.concepts, bias, strict=True))
    return replace(table, concepts=fitted, scale=round(float(scale), 4))


def _threshold(captioner: Captioner, table: ConceptTable, val: Sequence[Record]) -> float:
    looked = list(_looks(captioner, _some(val)))
    records = [record for _, read in looked for record in read]
    means: dict[float, float] = {}
    for threshold in THRESHOLDS:
        tagged = Captioner(replace(captioner.bundle, tags=replace(table, threshold=threshold)))
        options = captioner.bundle.spec.decoding
        said = [found[0].tokens for state, _ in looked for found in tagged.decode(state, options)]
        texts = [captioner.bundle.vocabulary.decode(tokens) for tokens in said]
        scores = _by_source(records, texts)
        log.info("tags from %.1f: %s", threshold, ", ".join(f"{name} {100 * s:.1f}" for name, s in scores.items()))
        means[threshold] = sum(scores.values()) / len(scores)
    return max(threshold for threshold, mean in means.items() if mean >= max(means.values()) - _NOISE)


def _some(records: Sequence[Record]) -> list[Record]:
    """Return at most so many records, evenly from all."""
    places = np.linspace(0, len(records) - 1, min(_IMAGES, len(records)))
    return [records[place] for place in places.astype(int)]


def _by_source(records: Sequence[Record], texts: Sequence[str]) -> dict[str, float]:
    """Return CIDEr-D by the set of a mixture."""
    scores = {}
    for source in dict.fromkeys(record.source for record in records):
        places = [place for place, record in enumerate(records) if record.source == source]
        scorer = Scorer([records[place].references for place in places])
        scores[source or "val"] = scorer.scores([texts[place] for place in places])["CIDEr-D"]
    return scores


def _looks(captioner: Captioner, records: Sequence[Record]) -> Iterator[tuple[DecoderState, list[Record]]]:
    """Look at images, a few at a time, leaving out those that cannot be read."""
    for first in range(0, len(records), _BATCH):
        images, read = prepare_readable(captioner, records[first : first + _BATCH], [])
        if images:
            yield captioner.encode(images), read
