"""Options of every command that reads a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from looksay.data import Dataset, ReadOptions

_OPTIONS = (
    click.option("--image-column", default="", help="Column of a CSV, TSV or JSONL file.  [default: guessed]"),
    click.option("--caption-column", default="", help="The same."),
    click.option("--split-column", default="", help="The same."),
    click.option(
        "--split-seed", default=0, show_default=True, help="Draws splits by picture where a data set has none."
    ),
)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that `read_options` collects."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_options(values: dict[str, Any]) -> ReadOptions:
    """Take the reading options out of a command's other values."""
    return ReadOptions(**{name: values.pop(name) for name in ReadOptions.__dataclass_fields__})


def told(dataset: Dataset) -> list[str]:
    """Say what a data set was recognised as, and what is wrong with it."""
    return [f"{dataset.folder}: {dataset.layout}", *(f"  {problem}" for problem in dataset.problems)]
