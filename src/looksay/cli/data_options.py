"""Options of every command that reads a data set, from the declarations of `ReadOptions`."""

from __future__ import annotations

from typing import Any, get_origin

from looksay.cli.options import options_from
from looksay.data import ReadOptions
from looksay.option_fields import Option, declared


def _attributes(option: Option) -> dict[str, Any]:
    return {
        "show_default": option.type is int,
        "metavar": {int: "N", bool: None}.get(option.type, "NAME"),
        "help": option.help + " Repeatable." * (get_origin(option.type) is tuple),
    }


data_options = options_from(ReadOptions, _attributes)
"""Adds the options that `read_options` collects to a command."""


def read_options(values: dict[str, Any]) -> ReadOptions:
    """Remove the reading options from a command's values and return them."""
    return ReadOptions(**{field.name: values.pop(field.name) for field in declared(ReadOptions)})
