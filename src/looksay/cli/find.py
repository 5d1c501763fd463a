"""``looksay find``: search images by their captions and tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.cli.caption_io import as_text, warn, write_errors


@click.command()
@click.argument("query", nargs=-1, metavar="[WORDS]...")
@click.argument("database", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--tag", "tags", multiple=True, help="Only images that are tagged with this; repeat it for several.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Maximum number of images.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page that shows the images."
)
def find(query: Sequence[str], database: Path, tags: Sequence[str], limit: int, page: Path | None) -> None:
    """Search images by their captions and tags.

    DATABASE is a file that looksay caption --output FILE.db wrote. A word matches in any form (dog, dogs; man, men), in
    scripts without spaces also within a text; function words do not count, and captions with all words come first. In
    place of a word that no caption contains, related words are searched for (puppy: dog). Words in double quotes are a
    phrase, and a minus excludes a word.

    \b
    looksay caption photos/ --output captions.db
    looksay find "dog on a beach" captions.db
    looksay find "dog on a beach" captions.db --html dogs.html
    looksay find '"black dog" -people' captions.db
    looksay find captions.db --tag dog --tag beach

    A tag is what the CNN recognises, whether the caption mentions it or not. The exit code is 1 if no image matches.
    """
    from looksay.jobs import caption_search, image_page

    text = " ".join(query)
    if not text and not tags:
        raise click.UsageError("name what to search for: words, or --tag")
    if query and not database.is_file() and Path(query[0]).is_file():
        raise click.UsageError(
            f"the database comes last: looksay find {' '.join((*query[1:], str(database)))} {query[0]}"
        )
    result = caption_search.search(text, database, limit + 1, tags)
    matches, has_more = result.matches[:limit], len(result.matches) > limit
    for image, caption in matches:
        click.echo(as_text(image, [caption]), nl=False)
    if page:
        with write_errors(page):
            image_page.write_found(page, " ".join([text, *tags]).strip(), matches)
        warn(f"the images are shown in {page}")
    if has_more:
        warn(f"more than {limit} images match; --limit shows more")
    for line in result.advice:
        warn(line)
    if not matches:
        raise SystemExit(1)
