"""A concept's probability is how often people mention it where the encoder detects it as strongly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from looksay.export import calibration
from looksay.tagging.concepts import Concept, ConceptTable

CONCEPTS = tuple(Concept((name,), (name,), "", (number,)) for number, name in enumerate(("dog", "clock", "bed")))
BIASES = [1.0, -2.0, -0.5]  # how readily people mention each


def test_probabilities_equal_the_frequency_of_mentions() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2.5, (4000, 4))
    table = ConceptTable(CONCEPTS)
    logits = 1.5 * table.evidence(scores)[:, :, 0] + np.array(BIASES)
    mentioned = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    references = [[f"a {c.name}" for c, m in zip(CONCEPTS, row, strict=True) if m] or ["nothing"] for row in mentioned]
    fitted = calibration.fit(table, table.evidence(scores), references)
    assert [concept.by_all.share for concept in fitted.concepts] == pytest.approx([1.5] * 3, abs=0.1)
    assert [concept.by_all.bias for concept in fitted.concepts] == pytest.approx(BIASES, abs=0.25)
    assert [concept.by_classes for concept in fitted.concepts] == [concept.by_all for concept in fitted.concepts]
    probabilities = fitted.probabilities(scores)
    for low in (0.1, 0.3, 0.5, 0.7):
        in_bin = (probabilities >= low) & (probabilities < low + 0.2)
        assert mentioned[in_bin].mean() == pytest.approx(probabilities[in_bin].mean(), abs=0.06)


def test_a_concept_without_data_gets_the_mean_bias() -> None:
    scores = np.random.default_rng(0).normal(0, 2, (500, 3))
    scores[:, 2] = -50
    table = ConceptTable(CONCEPTS)
    references = [["a dog" if row[0] > row[1] else "a clock"] for row in scores]
    fitted = calibration.fit(table, table.evidence(scores), references)
    known = [concept.by_all.bias for concept in fitted.concepts[:2]]
    assert min(known) - 0.01 <= fitted.concepts[2].by_all.bias <= max(known) + 0.01


def test_what_a_detector_knows_is_fitted_apart_from_what_classes_know() -> None:
    rng = np.random.default_rng(0)
    man, woman = (Concept((name,), (name,), "", (), (place,)) for place, name in enumerate(("man", "woman")))
    table = ConceptTable((CONCEPTS[0], man, CONCEPTS[1], woman))
    scores, words = rng.normal(0, 2.5, (4000, 4)), rng.beta(0.4, 1.2, (4000, 2))
    odds = table.evidence(scores, words).sum(axis=2) * [1.0, 2.0, 1.0, 2.0] + [1.0, 0.5, -2.0, -0.5]
    mentioned = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
    references = [[f"a {c.name}" for c, m in zip(table.concepts, row, strict=True) if m] or ["x"] for row in mentioned]
    fitted = calibration.fit(table, table.evidence(scores, words), references)
    fits = [concept.by_all for concept in fitted.concepts]
    assert [one.bias for one in fits] == pytest.approx([1.0, 0.5, -2.0, -0.5], abs=0.25)
    assert [one.share for one in fits] == pytest.approx([1.0, 0.0, 1.0, 0.0], abs=0.1)
    assert [one.word for one in fits] == pytest.approx([0.0, 2.0, 0.0, 2.0], abs=0.15)


def test_a_caption_is_decoded_again_by_what_the_classes_alone_tell() -> None:
    """The decoder has read the detector: what both know, it does not need twice."""
    rng = np.random.default_rng(0)
    table = ConceptTable((replace(CONCEPTS[0], detected=(0,)),))
    scores, words = rng.normal(0, 2.5, (4000, 4)), rng.beta(0.4, 1.2, (4000, 1))
    odds = table.evidence(scores, words)[:, 0] @ [0.5, 2.0]
    references = [["a dog" if named else "x"] for named in rng.random(4000) < 1 / (1 + np.exp(-odds))]
    (dog,) = calibration.fit(table, table.evidence(scores, words), references).concepts
    assert [dog.by_all.share, dog.by_all.word] == pytest.approx([0.5, 2.0], abs=0.2)
    assert dog.by_classes.word == 0
    assert 0 < dog.by_classes.share < dog.by_all.share  # it has to leave more to chance
