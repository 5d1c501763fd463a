"""Captions on standard output or in a plain file, in three layouts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

import click

from looksay.errors import ImageError
from looksay.jobs.text_writers import COLUMNS, as_csv, as_json, csv_rows
from looksay.jobs.writers import Outcome, Row


@contextmanager
def printer(layout: str, output: Path | None, *, several: bool, overwrite: bool) -> Iterator[Callable[[Row], None]]:
    """Give what prints a row: always in UTF-8, with file names of any bytes as they are.

    Parameters
    ----------
    layout : {"text", "explained", "jsonl", "csv"}
        Explained is text with what the CNN recognises below.
    output : Path, optional
        In place of standard output.
    several : bool
        Whether text has the path before each caption.
    overwrite : bool
        Whether a file that is there is replaced.
    """
    if layout not in _FORMS:
        raise click.UsageError(f"--format {layout} needs --output FILE")
    if output and output.is_file() and not overwrite:
        raise click.UsageError(f"{output} exists already; --overwrite replaces it")
    try:
        with _opened(output) as file:
            if layout == "csv":
                click.echo(as_csv(*COLUMNS), file=file, nl=False)
            form = _FORMS[layout] if several or layout not in _ALONE else _ALONE[layout]
            yield lambda row: click.echo(form(row.image, row.outcome), file=file, nl=False)
    except BrokenPipeError:
        raise  # whoever read the captions has seen enough; click ends quietly
    except OSError as error:
        raise click.UsageError(f"{output or 'standard output'} cannot be written: {error.strerror}") from error


def _opened(output: Path | None) -> AbstractContextManager[IO[str]]:
    if output is None:
        return nullcontext(sys.stdout)
    return output.open("w", encoding="utf-8", errors="surrogateescape", newline="")


def _text(image: str, outcome: Outcome) -> str:
    return "" if isinstance(outcome, ImageError) else "".join(f"{image}\t{found}\n" for found in outcome)


def _alone(image: str, outcome: Outcome) -> str:  # noqa: ARG001
    return "" if isinstance(outcome, ImageError) else "".join(f"{found}\n" for found in outcome)


def _explained(image: str, outcome: Outcome) -> str:
    return _text(image, outcome) + _recognised(outcome)


def _explained_alone(image: str, outcome: Outcome) -> str:
    return _alone(image, outcome) + _recognised(outcome)


def _recognised(outcome: Outcome) -> str:
    """Tell the tags of the best caption, a line each."""
    if isinstance(outcome, ImageError):
        return ""
    tags = outcome[0].tags
    lines = [
        f"  {tag.probability:4.0%}  {tag.name}{'' if tag.in_caption else '  (not in the caption)'}\n" for tag in tags
    ]
    return "".join(lines) or "  nothing that it is sure of\n"


_FORMS: dict[str, Callable[[str, Outcome], str]] = {
    "text": _text, "explained": _explained, "jsonl": as_json, "csv": csv_rows,
}  # fmt: skip
_ALONE = {"text": _alone, "explained": _explained_alone}
"""Of one image, whose name need not be told."""
