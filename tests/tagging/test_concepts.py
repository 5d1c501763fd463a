"""The encoder's classes become concepts, and a caption lacks those that it does not mention."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay import BundleError
from looksay.tagging.concepts import MAX_MISSING, Calibration, Concept, ConceptTable
from looksay.types import Tag

CAT = Concept(("cat", "cats"), ("cat", "cats"), "animal", (0, 1))
DOG = Concept(("dog",), ("dog",), "animal", (2,))
BIRD = Concept(("bird",), ("bird", "owl"), "animal", (3, 4))
OWL = Concept(("owl",), ("owl", "bird"), "animal", (4,))
CLOCK = Concept(("clock",), ("clock",), "", (5,))
BED = Concept(("bed",), ("bed",), "", (6,))
LAMP = Concept(("lamp",), ("lamp",), "", (7,))
GIRAFFE = Concept(("giraffe",), ("giraffe",), "animal", ())
TABLE = ConceptTable((CAT, DOG, BIRD, OWL, CLOCK, BED, LAMP, GIRAFFE), rare_words=("owl",))


def recognised(**probabilities: float) -> np.ndarray:
    return np.array([probabilities.get(concept.name, 0.01) for concept in TABLE.concepts])


def missing(caption: str, **probabilities: float) -> list[tuple[str, ...]]:
    return TABLE.missing(recognised(**probabilities), caption.split())[0]


def excluded(caption: str, **probabilities: float) -> set[str]:
    return TABLE.missing(recognised(**probabilities), caption.split())[1]


@given(st.lists(st.floats(-30, 30), min_size=8, max_size=8))
def test_a_concept_has_the_probability_of_its_classes(scores: list[float]) -> None:
    softmax = np.exp(np.array(scores) - max(scores))
    softmax /= softmax.sum()
    shares = np.array([sum(softmax[list(concept.classes)]) for concept in TABLE.concepts])
    assert TABLE.probabilities(np.array([scores]))[0] == pytest.approx(np.clip(shares, 1e-6, 1 - 1e-6), abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_a_concept_has_the_probability_of_one_of_its_words(words: list[float]) -> None:
    man = replace(GIRAFFE, detected=(0, 2))
    cap = replace(GIRAFFE, detected=(1,), by_all=Calibration(word=0.5, bias=1.0))
    either, other = ConceptTable((man, cap)).probabilities(None, np.array([words]))[0]
    assert either == pytest.approx(1 - (1 - words[0]) * (1 - words[2]), abs=1e-5)
    odds = min(max(words[1], 1e-6), 1 - 1e-6)
    assert other == pytest.approx(1 / (1 + np.exp(-1.0) * ((1 - odds) / odds) ** 0.5), abs=1e-5)


def test_classes_and_words_of_a_concept_add_up_for_tags_alone() -> None:
    dog = replace(DOG, detected=(0,), by_all=Calibration(0.5, 1.0, -1.0), by_classes=Calibration(2.0, 0.0, 1.0))
    table, scores = ConceptTable((dog, replace(GIRAFFE, detected=(0,)))), np.array([[0.0, 0.0, np.log(2.0)]])
    assert table.words == 1
    odds = 4 * np.exp(-1)  # the share is one half
    assert table.probabilities(scores, np.array([[0.8]]))[0] == pytest.approx([odds / (1 + odds), 0.8])
    assert table.class_probabilities(scores)[0] == pytest.approx([np.e / (1 + np.e), 0], abs=1e-5)


def test_a_confident_concept_is_missing_and_excludes_its_rivals() -> None:
    assert missing("a dog on a bed", cat=0.9) == [("cat", "cats")]
    assert excluded("a dog on a bed", cat=0.9) == {"dog", "bird", "owl", "giraffe"}
    assert missing("a dog on a bed", cat=0.4) == []
    assert missing("two cats on a bed", cat=0.9) == []


def test_the_more_probable_of_two_rivals_wins() -> None:
    assert missing("a man", cat=0.9, dog=0.8) == [("cat", "cats")]
    assert missing("a dog on a bed", cat=0.8, dog=0.9) == []


def test_a_broader_word_mentions_a_concept() -> None:
    assert missing("a bird on a branch", owl=0.9, bird=0.95) == []
    assert excluded("a branch", owl=0.9, bird=0.8) == {"cat", "cats", "dog", "giraffe"}


def test_a_concept_of_the_caption_is_kept_if_it_is_recognised_or_has_no_class() -> None:
    assert missing("a dog on a bed", cat=0.9, dog=0.6) == []
    assert missing("a giraffe by a tree", cat=0.9) == []
    assert missing("a giraffe by a tree", cat=0.9, clock=0.6) == [("clock",)]


def test_a_homonym_is_not_excluded() -> None:
    orange = Concept(("orange", "oranges"), ("orange", "oranges"), "food", (1,), homonyms=("orange",))
    banana = Concept(("banana",), ("banana",), "food", (2,))
    table = ConceptTable((orange, banana))
    assert table.missing(np.array([0.1, 0.9]), "a man in an orange shirt".split()) == ([("banana",)], {"oranges"})


def test_one_object_is_missing_by_one_name() -> None:
    computer = Concept(("computer",), ("computer", "laptop"), "", (1, 2))
    laptop = Concept(("laptop",), ("laptop", "computer"), "", (2,))
    assert ConceptTable((computer, laptop)).missing(np.array([0.9, 0.8]), ["a", "cat"])[0] == [("computer",)]


def test_the_number_of_missing_concepts_is_limited() -> None:
    assert missing("", clock=0.9, bed=0.8, lamp=0.7) == [("clock",), ("bed",)]
    assert MAX_MISSING == 2
    assert excluded("", clock=0.9, bed=0.8, lamp=0.7) == set()


def test_tags_are_probable_concepts_and_whether_the_caption_mentions_them() -> None:
    tags = TABLE.tags(recognised(bed=0.9, owl=0.3, clock=0.09), "a bird on a bed".split())
    assert tags == (Tag("bed", 0.9, in_caption=True), Tag("owl", 0.3, in_caption=True))


def test_a_table_survives_its_file_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tags.json"
    TABLE.save(file)
    assert ConceptTable.load(file) == TABLE
    for broken in (
        "",
        "{}",
        '{"concepts": [{}], "margin": 1, "threshold": 1, "rare_words": []}',
        "[]",
        '{"concepts": 3}',
    ):
        file.write_text(broken, encoding="utf-8")
        with pytest.raises(BundleError, match="not a concept table"):
            ConceptTable.load(file)
    with pytest.raises(BundleError, match="not a concept table"):
        ConceptTable.load(tmp_path / "none.json")
