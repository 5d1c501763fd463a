"""What ``looksay caption --engine ray`` does, from its paths to its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from looksay.decoding.options import Overrides
from looksay.errors import MissingExtra


def caption(
    sources: Sequence[str],
    models: Sequence[str],
    output: str | None,
    changes: Overrides,
    *,
    batch: int,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Caption images on a cluster; the options are those of the command."""
    if not output:
        raise click.UsageError("--engine ray needs --output FOLDER")
    if batch < 1:
        raise click.UsageError(f"--batch is {batch}; it must be 1 or more")
    if changes.get("num_captions", 1) > 1:
        raise click.UsageError("--engine ray writes one caption an image; leave out --num-captions")
    try:
        from looksay.jobs import ray_job
    except ModuleNotFoundError as error:
        raise MissingExtra("Captioning on a cluster", "ray") from error
    left, blocks = ray_job.caption(sources, output, models, changes, batch=batch, workers=workers, overwrite=overwrite)
    images = failed = 0
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        blocks, length=left, label="captioning blocks", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        for done in bar:
            images, failed = images + done.images, failed + done.failed
    click.echo(f"looksay: {images:,} images captioned in {left:,} blocks; they are in {output}", err=True)
    if failed:
        click.echo(f"looksay: {failed:,} of {images:,} images failed; see the column error", err=True)
        sys.exit(1)
