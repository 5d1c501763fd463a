"""Agreement errors, which no score of n-grams shows: "a mountains" is two right words."""

from __future__ import annotations

import pytest

from looksay.metrics.agreement import agreement_errors
from looksay.text.tokenizer import tokenize


@pytest.mark.parametrize(
    ("caption", "errors"),
    [
        ("a mountain view of a mountains", ["a mountains"]),
        ("a group of people playing a drums", ["a drums"]),
        ("a man holds a umbrella", ["a umbrella"]),
        ("an dog runs", ["an dog"]),
        ("two dog are in a large mountains", ["two dog", "dog are", "a large mountains"]),
        ("two woman walk by several small child", ["several small child"]),
        ("men is playing football", ["men is"]),
        ("a dog are on the beach", ["dog are"]),
    ],
)
def test_errors_are_found(caption: str, errors: list[str]) -> None:
    assert agreement_errors(tokenize(caption)) == errors


@pytest.mark.parametrize(
    "caption",
    [
        "a group of people is on a beach",
        "a man and a woman are in a sports car",
        "a man wearing shorts is running",
        "a woman jumps over a kids toy",
        "a man in a two tone shirt looks at a two story building",
        "an hour in a unique European town with a unicycle and a one armed man",
        "several people watch a tennis match on the grass",
        "a pair of scissors and a glass on a news stand",
        "a white dog in a blue leaps over a sheep",
        "three sheep and a deer",
        "the people are at a crossroads",
    ],
)
def test_what_people_write_is_no_error(caption: str) -> None:
    assert not agreement_errors(tokenize(caption))
