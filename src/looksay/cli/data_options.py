"""Options of every command that reads a data set, from the declarations of `ReadOptions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_origin

import click

from looksay.data import ReadOptions
from looksay.option_fields import declared


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `read_options` collects to a command."""
    for field in reversed(list(declared(ReadOptions))):
        is_repeatable = get_origin(field.type) is tuple
        command = click.option(
            f"--{field.name.replace('_', '-')}",
            type=str if is_repeatable else field.type,
            multiple=is_repeatable,
            default=field.default,
            show_default=field.type is int,
            metavar="N" if field.type is int else "NAME",
            help=field.help + " Repeatable." * is_repeatable,
        )(command)
    return command


def read_options(values: dict[str, Any]) -> ReadOptions:
    """Remove the reading options from a command's values and return them."""
    return ReadOptions(**{field.name: values.pop(field.name) for field in declared(ReadOptions)})
