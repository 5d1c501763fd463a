"""A noun's probability is how often people mention it where it is seen so."""

from __future__ import annotations

import numpy as np
import pytest

from looksay.export import calibration
from looksay.tagging.concepts import Concept, ConceptTable, logit

NOUNS = tuple(Concept((name,), (name,), "", (place,)) for place, name in enumerate(("dog", "clock", "bed")))
SHYNESS = {"dog": 1.0, "clock": -2.0, "bed": -0.5}  # how readily people speak of each


def test_probabilities_are_what_people_mention() -> None:
    draw = np.random.default_rng(0)
    scores = draw.normal(0, 2.5, (4000, 4))
    table = ConceptTable(NOUNS)
    odds = 1.5 * logit(table.shares(scores)) + np.array(list(SHYNESS.values()))
    mentioned = draw.random(odds.shape) < 1 / (1 + np.exp(-odds))
    references = [
        [f"a {noun.name}" for noun, said in zip(NOUNS, row, strict=True) if said] or ["nothing"] for row in mentioned
    ]
    fitted = calibration.fit(table, scores, references)
    assert fitted.scale == pytest.approx(1.5, abs=0.1)
    assert [noun.bias for noun in fitted.concepts] == pytest.approx(list(SHYNESS.values()), abs=0.25)
    told = fitted.probabilities(scores)
    for low in (0.1, 0.3, 0.5, 0.7):
        there = (told >= low) & (told < low + 0.2)
        assert mentioned[there].mean() == pytest.approx(told[there].mean(), abs=0.06)


def test_a_noun_of_which_nothing_is_known_is_as_likely_as_the_others() -> None:
    scores = np.random.default_rng(0).normal(0, 2, (500, 3))
    scores[:, 2] = -50
    dog = ["a dog" if row[0] > row[1] else "a clock" for row in scores]
    fitted = calibration.fit(ConceptTable(NOUNS), scores, [[text] for text in dog])
    known = [noun.bias for noun in fitted.concepts[:2]]
    assert min(known) - 0.01 <= fitted.concepts[2].bias <= max(known) + 0.01
