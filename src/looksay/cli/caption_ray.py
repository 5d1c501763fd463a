"""``looksay caption --engine ray``: from the paths to the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from looksay.cli.caption_io import report_failures
from looksay.decoding.options import Overrides
from looksay.errors import MissingExtra

_LOCAL_ONLY = {
    "layout": "--format", "write": "--write", "attention_folder": "--attention", "explain": "--explain",
    "threads": "--threads", "only_missing": "--only-missing",
}  # fmt: skip


def run(
    sources: Sequence[str],
    overrides: Overrides,
    *,
    models: Sequence[str],
    output: str | None,
    batch: int,
    workers: int | None,
    overwrite: bool,
    device: str,
    **local_options: Any,
) -> None:
    """Caption images on a cluster; the parameters are the options of the command."""
    unsupported = [_LOCAL_ONLY[name] for name, value in local_options.items() if value]
    if device != "cpu":
        unsupported.append("--device")
    if unsupported:
        raise click.UsageError(f"--engine ray does not support {unsupported[0]}")
    if not output:
        raise click.UsageError("--engine ray needs --output FOLDER")
    if overrides.get("num_captions", 1) > 1:
        raise click.UsageError("--engine ray writes one caption for each image: leave out --num-captions")
    try:
        from looksay.jobs import ray_job
    except ModuleNotFoundError as error:
        raise MissingExtra("Captioning on a cluster", "ray") from error
    count, blocks = ray_job.caption(
        sources, output, models, overrides, batch=batch, workers=workers, overwrite=overwrite
    )
    images = failed = 0
    with click.progressbar(
        blocks, length=count, label="captioning blocks", show_pos=True, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for block in bar:
            images, failed = images + block.images, failed + block.failed
    click.echo(
        f"looksay: {images:,} {'image' if images == 1 else 'images'} captioned in {count:,} "
        f"{'block' if count == 1 else 'blocks'}, written to {output}",
        err=True,
    )
    if failed:
        report_failures(failed, images)
        click.echo("looksay: the column error has the reasons", err=True)
        sys.exit(1)
