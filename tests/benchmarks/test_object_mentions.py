"""Mentions of objects, counted by hand."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from conftest import ROOT

OBJECTS = {"cat": ("cat", "cats", "kitten"), "bus": ("bus", "buses"), "cake": ("cake",)}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("object_mentions")


def test_mentions_are_counted_by_image(script: Any) -> None:
    captions = ["A cat and a cat.", "two buses", "a dog", "a bus"]
    references = [["kittens", "a kitten"], ["a street", "a bus!"], ["a cat", "a dog"], ["a wall"]]
    counts = script.count_mentions(captions, references, OBJECTS)
    assert counts == {"cat": (1, 0, 1), "bus": (1, 1, 0), "cake": (0, 0, 0)}
    assert [counts[name].f1 for name in OBJECTS] == pytest.approx([2 / 3, 2 / 3, 0])
    assert script.total(counts) == (2, 1, 1)
    assert script.total(counts).f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_a_part_of_a_word_is_no_mention(script: Any) -> None:
    assert script.count_mentions(["a caterpillar"], [["a cat"]], {"cat": ("cat",)}) == {"cat": (0, 0, 1)}
