"""Options are declared once; their values are checked by that declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay import OptionError
from looksay.option_fields import check, declared, option, range_of


@dataclass(frozen=True)
class Sizes:
    count: int = option(2, "Number of things.", ge=1, le=9)
    rate: float = option(0.5, "Rate of things.", gt=0, lt=1)
    flag: bool = option(False, "Turn things on.")
    text: str = option("", "Name of things.")
    words: tuple[str, ...] = option((), "Words of things.")

    def __post_init__(self) -> None:
        check(self)


def test_declared_options_are_those_of_the_dataclass() -> None:
    options = {declaration.name: declaration for declaration in declared(Sizes)}
    assert list(options) == ["count", "rate", "flag", "text", "words"]
    count = options["count"]
    assert (count.type, count.default, count.help, count.bounds) == (int, 2, "Number of things.", {"ge": 1, "le": 9})
    assert [range_of(declaration) for declaration in options.values()] == [
        "use 1 to 9", "use a value above 0 and below 1", "", "", "",
    ]  # fmt: skip


@given(st.integers())
def test_exactly_the_values_in_the_range_are_accepted(value: int) -> None:
    if 1 <= value <= 9:
        assert Sizes(count=value).count == value
    else:
        with pytest.raises(OptionError, match=f"count {value} is out of range: use 1 to 9"):
            Sizes(count=value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", np.int32(3), 3),
        ("rate", np.float32(0.25), 0.25),
        ("words", ["a", "b"], ("a", "b")),
        ("words", iter("ab"), ("a", "b")),
    ],
)
def test_equivalent_types_are_converted(name: str, value: Any, expected: Any) -> None:
    converted = getattr(Sizes(**{name: value}), name)
    assert (type(converted), converted) == (type(expected), expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 2.0, "count 2.0 is not a whole number"),
        ("count", True, "count True is not a whole number"),
        ("count", None, "count None is not a whole number"),
        ("rate", "fast", "rate 'fast' is not a number"),
        ("rate", float("nan"), "rate nan is not a number"),
        ("rate", float("inf"), "rate inf is not a number"),
        ("rate", True, "rate True is not a number"),
        ("rate", 1, "rate 1.0 is out of range: use a value above 0 and below 1"),
        ("flag", 1, "flag 1 is not true or false"),
        ("text", b"x", "text b'x' is not text"),
        ("words", "dog", "words 'dog' is not a list of words"),
        ("words", 3, "words 3 is not a list of words"),
        ("words", ["a", 3], r"words \['a', 3\] is not a list of words"),
    ],
)
def test_other_values_are_refused_with_the_name_and_the_value(name: str, value: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Sizes(**{name: value})
