"""Mentions of objects, counted by hand."""

from __future__ import annotations

import pytest

from looksay.metrics.object_mentions import MentionCounts, count_mentions, total

OBJECTS = {"cat": ("cat", "cats", "kitten"), "bus": ("bus", "buses"), "cake": ("cake",)}


def test_mentions_are_counted_by_image() -> None:
    captions = ["A cat and a cat.", "two buses", "a dog", "a bus"]
    references = [["kittens", "a kitten"], ["a street", "a bus!"], ["a cat", "a dog"], ["a wall"]]
    counts = count_mentions(captions, references, OBJECTS)
    assert counts == {"cat": MentionCounts(1, 0, 1), "bus": MentionCounts(1, 1, 0), "cake": MentionCounts(0, 0, 0)}
    assert [counts[name].f1 for name in OBJECTS] == pytest.approx([2 / 3, 2 / 3, 0])
    assert total(counts) == (2, 1, 1)
    assert total(counts).f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_a_part_of_a_word_is_no_mention() -> None:
    assert count_mentions(["a caterpillar"], [["a cat"]], {"cat": ("cat",)}) == {"cat": MentionCounts(0, 0, 1)}
