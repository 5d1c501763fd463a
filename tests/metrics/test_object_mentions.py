"""Who asks whether captions name things gets a figure that can be counted by hand."""

from __future__ import annotations

import pytest

from looksay.metrics.mentions import Mentions, mentions, together

THINGS = {"cat": ("cat", "cats", "kitten"), "bus": ("bus", "buses"), "cake": ("cake",)}


def test_each_thing_is_counted_by_image() -> None:
    said = ["A cat and a cat.", "two buses", "a dog", "a bus"]
    people = [["kittens", "a kitten"], ["a street", "a bus!"], ["a cat", "a dog"], ["a wall"]]
    counts = mentions(said, people, THINGS)
    assert counts == {"cat": Mentions(1, 0, 1), "bus": Mentions(1, 1, 0), "cake": Mentions(0, 0, 0)}
    assert [counts[name].f1 for name in THINGS] == pytest.approx([2 / 3, 2 / 3, 0])
    assert together(counts) == (2, 1, 1)
    assert together(counts).f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_a_part_of_a_word_is_no_mention() -> None:
    assert mentions(["a caterpillar"], [["a cat"]], {"cat": ("cat",)}) == {"cat": Mentions(0, 0, 1)}
