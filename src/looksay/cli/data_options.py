"""Options of every command that reads a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from looksay.data import ReadOptions

_OPTIONS = (
    click.option("--image-column", default="", help="Column of the data set's CSV, TSV or JSONL.  [default: guessed]"),
    click.option("--caption-column", default="", help="The same."),
    click.option("--split-column", default="", help="The same."),
    click.option("--split-seed", default=0, show_default=True, help="Draws splits by image where a data set has none."),
)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `read_options` collects."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_options(values: dict[str, Any]) -> ReadOptions:
    """Take the reading options out of a command's other values."""
    from looksay.data import ReadOptions

    return ReadOptions(**{field.name: values.pop(field.name) for field in fields(ReadOptions)})
