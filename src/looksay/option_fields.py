"""Options that are declared once: name, type, default, range and help, as fields of a frozen dataclass.

The command line, the HTTP schema, the recipe reader and the reference pages are made from these declarations.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_origin, get_type_hints

from looksay.errors import OptionError

BOUNDS = {"ge": "at least", "le": "at most", "gt": "above", "lt": "below"}
"""Bounds by the names that `operator`, pydantic and annotated-types give them, and how they are worded."""


@dataclass(frozen=True)
class Option:
    """A declared option.

    Attributes
    ----------
    name : str
    type : type
        ``int``, ``float``, ``bool``, ``str`` or ``tuple[str, ...]``.
    default : object
    help : str
        A sentence that stands alone.
    bounds : dict of str to float
        The keys are those of `BOUNDS`.
    """

    name: str
    type: Any
    default: Any
    help: str
    bounds: dict[str, float]


def option(default: Any, help: str, **bounds: float) -> Any:  # noqa: A002
    """Return a dataclass field with its help and range.

    Parameters
    ----------
    default : object
    help : str
        A sentence that stands alone.
    **bounds : float
        ``ge``, ``le``, ``gt``, ``lt``: at least, at most, above, below.
    """
    return field(default=default, metadata={"help": help, "bounds": bounds})


def declared(kind: type[Any]) -> Iterator[Option]:
    """Yield the options that a dataclass declares, in order."""
    types = get_type_hints(kind)
    for each in fields(kind):
        yield Option(each.name, types[each.name], each.default, each.metadata["help"], each.metadata["bounds"])


def check(options: Any) -> None:
    """Check types and ranges of a dataclass of options, from its ``__post_init__``.

    A tuple may be given as any iterable of strings, and a float as a whole number; they are converted.

    Raises
    ------
    OptionError
        With the name, the value and what is allowed.
    """
    for each in declared(type(options)):
        value = _converted(each, getattr(options, each.name))
        if not all(getattr(operator, bound)(value, limit) for bound, limit in each.bounds.items()):
            raise OptionError(f"{each.name} {value} is out of range: {range_of(each)}")
        object.__setattr__(options, each.name, value)


def range_of(each: Option) -> str:
    """Return the range of an option in words: ``use 1 to 100``."""
    bounds = each.bounds
    if bounds.keys() == {"ge", "le"}:
        return f"use {bounds['ge']:g} to {bounds['le']:g}"
    return "use a value " + " and ".join(f"{BOUNDS[bound]} {limit:g}" for bound, limit in bounds.items())


def _converted(each: Option, value: Any) -> Any:
    if get_origin(each.type) is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise OptionError(f"{each.name} {value!r} is not a list of words")
        words = tuple(value)
        if not all(isinstance(word, get_args(each.type)[0]) for word in words):
            raise OptionError(f"{each.name} {value!r} is not a list of words")
        return words
    if each.type is float and type(value) is int:
        return float(value)
    if type(value) is not each.type:
        kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[each.type]
        raise OptionError(f"{each.name} {value!r} is not {kind}")
    return value
