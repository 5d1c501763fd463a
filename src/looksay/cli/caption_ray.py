"""``looksay caption --engine ray``: from the paths to the exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from looksay.cli.caption_io import plural, report_failures, warn
from looksay.decoding.options import Overrides
from looksay.errors import needs

_LOCAL_ONLY = {
    "layout": "--format", "write": "--write", "attention_folder": "--attention", "explain": "--explain",
    "threads": "--threads", "only_missing": "--only-missing", "keywords": "--keywords", "review": "--review",
    "corrections": "--corrections", "dry_run": "--dry-run",
}  # fmt: skip


def run(
    sources: Sequence[str], overrides: Overrides, *, models: Sequence[str], output: str | None, batch: int,
    workers: int | None, overwrite: bool, device: str, **local_options: Any,
) -> None:  # fmt: skip
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
    with needs("Captioning on a cluster", "ray"):
        from looksay.jobs import ray_job
    count, blocks = ray_job.caption(
        sources, output, models, overrides, batch=batch, workers=workers, overwrite=overwrite
    )
    images = failed = 0
    with click.progressbar(
        blocks, length=count, label="captioning blocks", show_pos=True, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for block_images, block_failed in bar:
            images, failed = images + block_images, failed + block_failed
    warn(f"{plural(images, 'image')} captioned in {plural(count, 'block')}, written to {output}")
    if failed:
        report_failures(failed, images)
        warn("the column error has the reasons")
        sys.exit(1)
