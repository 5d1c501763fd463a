"""Who compares scores with a paper needs the very words that coco-caption counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay.words import join, tokenize

GOLDEN = json.loads((Path(__file__).parent / "metrics" / "golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("text", "words"), GOLDEN["tokens"])
def test_words_are_those_of_the_java_tokeniser(text: str, words: str) -> None:
    assert " ".join(tokenize(text)) == words


def test_joined_words_read_as_a_person_writes() -> None:
    assert join("two dogs do n't mind the boy 's ball -lrb- red -rrb-".split()) == (
        "two dogs don't mind the boy's ball ( red )"
    )
    assert join([]) == ""


@given(st.lists(st.sampled_from("a dog 's n't t-shirt 're 2 white man o'clock -lrb- u.s. & #".split())))
def test_joining_loses_no_word(words: list[str]) -> None:
    assert tokenize(join(words)) == words


@given(st.text())
def test_any_text_has_words_that_are_lower_case_and_stay_the_same(text: str) -> None:
    words = tokenize(text)
    assert all(word and word == word.lower() and not any(c.isspace() for c in word) for word in words)
