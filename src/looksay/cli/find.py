"""``looksay find``: images by what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click


@click.command()
@click.argument("query", nargs=-1, required=True, metavar="WORDS...")
@click.argument("database", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many images.")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Also show them, on a page.")
def find(query: Sequence[str], database: Path, limit: int, page: Path | None) -> None:
    """Find images by what their captions say.

    DATABASE is what looksay caption wrote with --output FILE.db. Words match in any form, small ones do not count, and
    captions with all of them come first.

    \b
    looksay caption photos/ --output captions.db
    looksay find "dog on a beach" captions.db
    looksay find "dog on a beach" captions.db --html found.html

    The exit code is 1 if nothing is found.
    """
    from looksay.jobs import search_page
    from looksay.jobs import sqlite_writer as databases

    words = " ".join(query)
    found = databases.find(words, database, limit)
    for image, caption in found:
        click.echo(f"{image}\t{caption}")
    if page:
        search_page.write(page, words, found)
        click.echo(f"looksay: the images are in {page}", err=True)
    if not found:
        click.echo(f"looksay: no caption in {database} has any of these words", err=True)
        raise SystemExit(1)
