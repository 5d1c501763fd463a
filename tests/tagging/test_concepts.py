"""Who shows an image of what the captions never had hears its name, but not beside a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay import BundleError
from looksay.tagging.concepts import MOST, Concept, ConceptTable
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


def seen(**likely: float) -> np.ndarray:
    return np.array([likely.get(noun.name, 0.01) for noun in TABLE.concepts])


@given(st.lists(st.floats(-30, 30), min_size=8, max_size=8))
def test_a_noun_has_the_probability_of_its_classes(scores: list[float]) -> None:
    likely = np.exp(np.array(scores) - max(scores))
    likely /= likely.sum()
    shares = TABLE.shares(np.array([scores]))
    assert shares[0] == pytest.approx([sum(likely[list(noun.classes)]) for noun in TABLE.concepts])
    assert TABLE.probabilities(np.array([scores]))[0] == pytest.approx(np.clip(shares[0], 1e-6, 1 - 1e-6))


def test_a_sure_noun_that_is_missing_is_asked_for_without_its_rivals() -> None:
    wish = TABLE.wish(seen(cat=0.9), "a dog on a bed".split())
    assert wish.wanted == [("cat", "cats")]
    assert wish.unwanted == {"dog", "bird", "owl", "giraffe"}
    assert TABLE.wish(seen(cat=0.4), "a dog on a bed".split()).wanted == []
    assert TABLE.wish(seen(cat=0.9), "two cats on a bed".split()).wanted == []


def test_of_two_that_exclude_each_other_the_likelier_wins() -> None:
    assert TABLE.wish(seen(cat=0.9, dog=0.8), "a man".split()).wanted == [("cat", "cats")]
    assert TABLE.wish(seen(cat=0.8, dog=0.9), "a dog on a bed".split()).wanted == []  # it is there already


def test_a_wider_word_will_do() -> None:
    assert TABLE.wish(seen(owl=0.9, bird=0.95), "a bird on a branch".split()).wanted == []
    assert TABLE.wish(seen(owl=0.9, bird=0.8), "a branch".split()).unwanted == {"cat", "cats", "dog", "giraffe"}


def test_what_is_said_stays_where_the_cnn_is_sure_of_it_too_or_cannot_know() -> None:
    assert TABLE.wish(seen(cat=0.9, dog=0.6), "a dog on a bed".split()).wanted == []
    assert TABLE.wish(seen(cat=0.9), "a giraffe by a tree".split()).wanted == []
    assert TABLE.wish(seen(cat=0.9, clock=0.6), "a giraffe by a tree".split()).wanted == [("clock",)]


def test_a_word_that_means_something_else_too_is_never_excluded() -> None:
    orange = Concept(("orange", "oranges"), ("orange", "oranges"), "food", (1,), homonyms=("orange",))
    banana = Concept(("banana",), ("banana",), "food", (2,))
    wish = ConceptTable((orange, banana)).wish(np.array([0.1, 0.9]), "a man in an orange shirt".split())
    assert (wish.wanted, wish.unwanted) == ([("banana",)], {"oranges"})


def test_one_thing_is_asked_for_by_one_of_its_names() -> None:
    computer = Concept(("computer",), ("computer", "laptop"), "", (1, 2))
    laptop = Concept(("laptop",), ("laptop", "computer"), "", (2,))
    assert ConceptTable((computer, laptop)).wish(np.array([0.9, 0.8]), ["a", "cat"]).wanted == [("computer",)]


def test_no_more_are_asked_for_than_can_be_searched() -> None:
    wish = TABLE.wish(seen(clock=0.9, bed=0.8, lamp=0.7), [])
    assert wish.wanted == [("clock",), ("bed",)]
    assert len(wish.wanted) == MOST
    assert wish.unwanted == set()


def test_tags_say_what_is_likely_and_what_was_said() -> None:
    told = TABLE.tags(seen(bed=0.9, owl=0.3, clock=0.09), "a bird on a bed".split())
    assert told == (Tag("bed", 0.9, in_caption=True), Tag("owl", 0.3, in_caption=True))


def test_a_table_is_kept_whole_and_a_broken_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "tags.json"
    TABLE.save(file)
    assert ConceptTable.load(file) == TABLE
    for broken in ("", "{}", '{"nouns": [{}], "scale": 1, "threshold": 1, "quiet": []}', "[]", '{"nouns": 3}'):
        file.write_text(broken, encoding="utf-8")
        with pytest.raises(BundleError, match="no table of nouns"):
            ConceptTable.load(file)
    with pytest.raises(BundleError, match="no table of nouns"):
        ConceptTable.load(tmp_path / "none.json")
