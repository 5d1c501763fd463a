"""``looksay find``: search images by their captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.cli.caption_io import as_text, warn


@click.command()
@click.argument("query", nargs=-1, required=True, metavar="WORDS...")
@click.argument("database", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Maximum number of images.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page that shows the images."
)
def find(query: Sequence[str], database: Path, limit: int, page: Path | None) -> None:
    """Search images by their captions.

    DATABASE is a file that looksay caption --output FILE.db wrote. A word matches in any form (dog, dogs; man, men), in
    scripts without spaces also within a text; function words do not count, and captions with all words come first. In
    place of a word that no caption contains, related words are searched for (puppy: dog).

    \b
    looksay caption photos/ --output captions.db
    looksay find "dog on a beach" captions.db
    looksay find "dog on a beach" captions.db --html dogs.html

    The exit code is 1 if no caption matches.
    """
    from looksay.jobs import caption_search, search_page

    text = " ".join(query)
    result = caption_search.search(text, database, limit)
    for image, caption in result.matches:
        click.echo(as_text(image, [caption]), nl=False)
    if page:
        search_page.write(page, text, result.matches)
        warn(f"the images are shown in {page}")
    for line in result.advice:
        warn(line)
    if not result.matches:
        raise SystemExit(1)
