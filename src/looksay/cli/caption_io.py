"""Standard input, standard output and standard error of the commands that caption images."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

STDIN = "-"
_LINE_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


def as_text(path: str, captions: Sequence[object]) -> str:
    """Return a line for each caption, after the path and a tab if there is a path."""
    start = path.translate(_LINE_BREAKS) + "\t" if path else ""
    return "".join(f"{start}{caption}\n" for caption in captions)


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 image``, ``2,000 images``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def warn(message: object) -> None:
    """Print a message on standard error."""
    click.echo(f"looksay: {message}", err=True)


def report_failures(failed: int, images: int) -> None:
    """Print how many images failed."""
    warn(f"{failed:,} of {plural(images, 'image')} failed" if images > 1 else "1 image failed")


@contextmanager
def write_errors(name: object = "standard output") -> Iterator[None]:
    """Turn errors of writing into a usage error that names the file."""
    try:
        yield
    except BrokenPipeError:
        raise  # see looksay.cli.main
    except OSError as error:
        raise click.UsageError(f"{name} cannot be written: {error.strerror}") from error


class _StandardInput(io.BytesIO):
    """Standard input in memory, because Pillow seeks."""

    name = "standard input"


def open_source(path: str | Path) -> str | Path | _StandardInput:
    """Return what the captioner reads: a path, or the bytes on standard input for ``-``."""
    return _StandardInput(sys.stdin.buffer.read()) if str(path) == STDIN else path
