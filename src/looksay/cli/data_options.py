"""Options of every command that reads a data set, from the declarations of `ReadOptions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_origin

from looksay.cli.options import option_from
from looksay.data import ReadOptions
from looksay.option_fields import declared


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `read_options` collects to a command."""
    for field in reversed(list(declared(ReadOptions))):
        command = option_from(
            field, show_default=field.type is int, metavar={int: "N", bool: None}.get(field.type, "NAME"),
            help=field.help + " Repeatable." * (get_origin(field.type) is tuple),
        )(command)  # fmt: skip
    return command


def read_options(values: dict[str, Any]) -> ReadOptions:
    """Remove the reading options from a command's values and return them."""
    return ReadOptions(**{field.name: values.pop(field.name) for field in declared(ReadOptions)})
