"""Options that are declared once: name, type, default, range and help, as fields of a frozen dataclass.

The command line, the HTTP schema, the recipe reader and the reference pages are made from these declarations.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, cast, get_type_hints

from looksay.errors import OptionError

BOUNDS = {"ge": "at least", "le": "at most", "gt": "above", "lt": "below"}
"""The names of bounds in `operator`, pydantic and annotated-types, and their words in messages."""

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Option:
    """A declared option."""

    name: str
    type: Any  # int, float, bool, str or tuple[str, ...]
    default: Any
    help: str  # a sentence that stands alone
    bounds: dict[str, float]  # the keys are those of BOUNDS


def option(default: Any, help: str, **bounds: float) -> Any:  # noqa: A002
    """Return a dataclass field that carries its help and its bounds (``ge``, ``le``, ``gt``, ``lt``)."""
    return field(default=default, metadata={"help": help, "bounds": bounds})


def declared(kind: type[Any]) -> tuple[Option, ...]:
    """Return the options that a dataclass declares, in order."""
    return _declared(cast("Hashable", kind))


@cache  # resolving the types takes longer than all else about options
def _declared(kind: Any) -> tuple[Option, ...]:
    types = get_type_hints(kind)
    return tuple(
        Option(item.name, types[item.name], item.default, item.metadata["help"], item.metadata["bounds"])
        for item in fields(kind)
    )


def check(options: Any) -> None:
    """Check the types and ranges of a dataclass of options; call it in ``__post_init__``.

    Values of equivalent types are converted: any iterable of strings to a tuple, NumPy's numbers and whole numbers
    to ``int`` and ``float``. Raises an `OptionError` with the name, the value and the allowed range.
    """
    for declaration in declared(type(options)):
        value = _convert(declaration, getattr(options, declaration.name))
        if not all(getattr(operator, bound)(value, limit) for bound, limit in declaration.bounds.items()):
            raise OptionError(f"{declaration.name} {value} is out of range: {range_of(declaration)}")
        object.__setattr__(options, declaration.name, value)


def range_of(declaration: Option) -> str:
    """Return the range of an option in words: ``use 1 to 100``; empty if it has none."""
    bounds = declaration.bounds
    if bounds.keys() == {"ge", "le"}:
        return f"use {bounds['ge']:g} to {bounds['le']:g}"
    limits = " and ".join(f"{BOUNDS[bound]} {limit:g}" for bound, limit in bounds.items())
    return f"use a value {limits}" if limits else ""


def _convert(declaration: Option, value: Any) -> Any:
    name, kind = declaration.name, declaration.type
    if kind not in _KINDS:
        words = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else (value,)
        if isinstance(value, str) or not all(isinstance(word, str) for word in words):
            raise OptionError(f"{name} {value!r} is not a list of words: use {name}=['word', 'another']")
        return words
    number = not isinstance(value, bool)
    if kind is int and number and isinstance(value, Integral):
        return int(value)
    if kind is float and number and isinstance(value, Real) and math.isfinite(value):
        return float(value)
    if type(value) is not kind or kind is float:
        raise OptionError(f"{name} {value!r} is not {_KINDS[kind]}")
    return value
