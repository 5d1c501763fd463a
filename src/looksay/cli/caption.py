"""``looksay caption``: generate captions of images."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from looksay.cli import options as shared
from looksay.cli.caption_io import STDIN, as_text, open_source, report_failures, warn, write_errors


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@shared.model_option
@shared.batch_option
@click.option(
    "--format", "layout", type=click.Choice(["text", "jsonl", "csv", "sqlite"]),
    show_default="by the suffix of --output (.jsonl, .csv, .db), else text",
    help="Output format. text: the caption, after the path and a tab if there are several images.",
)  # fmt: skip
@click.option(
    "--output", help="Write to this file instead of standard output. An existing JSONL, CSV or SQLite file is resumed."
)
@click.option(
    "--write", multiple=True, type=click.Choice(["txt", "xmp"]),
    help="Also write each caption to a sidecar file NAME.txt; or into the XMP metadata of a JPEG or PNG and existing "
    "XMP sidecar files, as description and alt text (NAME.xmp for other formats). Repeat it for both.",
)  # fmt: skip
@click.option(
    "--keywords", is_flag=True,
    help="Also write what is recognised into the XMP metadata, as keywords (dc:subject), and into the IPTC keywords of "
    "a JPEG that has IPTC data. Existing keywords are kept.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Overwrite existing files of --output, --write and --attention.")
@click.option("--dry-run", is_flag=True, help="Print what would be captioned and written, and do neither.")
@click.option("--only-missing", is_flag=True, help="Do not check whether images have changed since --output was made.")
@click.option(
    "--attention", "attention_folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Also draw the attention map of each word, as DIR/NAME.png.",
)  # fmt: skip
@click.option(
    "--review", type=click.Path(path_type=Path, dir_okay=False),
    help="Also write an HTML page with the captions in --output, those of lowest confidence first, to correct them.",
)  # fmt: skip
@click.option(
    "--corrections", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Replace captions in --output, and in what --write names, by those in this CSV file (image, caption).",
)  # fmt: skip
@click.option(
    "--explain", is_flag=True, help="Also print the confidence, and what the CNN recognises with which probability."
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="ray: PATHS are folders, Parquet files or tars, local or in a bucket; --output is a folder of Parquet files.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(min=1), show_default="all cores of the cluster",
    help="Processes of --engine ray.",
)  # fmt: skip
@shared.threads_option
@shared.device_option
@shared.decoding_options
def caption(paths: Sequence[str], engine: str, workers: int | None, **options: Any) -> None:
    """Generate captions of images.

    PATHS are images, folders (with all images below them), globs, or - for an image on standard input.

    \b
    looksay photo.jpg
    looksay caption archive/ --output captions.jsonl
    looksay caption archive/ --output captions.db
    looksay caption 'scans/*.png' --num-beams 5 --num-captions 3
    looksay photo.jpg --prefix "a dog" --no-dangling --bad-words brown
    looksay photo.jpg --temperature 0.8 --top-p 0.9 --num-captions 5
    looksay caption album/ --write xmp --keywords
    looksay caption album/ --output captions.csv --review review.html
    looksay caption album/ --output captions.csv --corrections corrections.csv
    looksay photo.jpg --attention maps
    looksay photo.jpg --explain
    curl -s https://example.org/photo.jpg | looksay -
    looksay caption s3://bucket/photos/ --engine ray --output s3://bucket/captions/

    To resume a stopped job, run the same command again, without --overwrite. Images that have changed since are
    captioned again. An image that cannot be read is reported on standard error and does not stop the job; the exit code
    is then 1. In text output, line breaks and tabs in file names are written as \\n, \\r and \\t.
    """
    overrides = shared.decoding_overrides(options)
    if engine == "ray":
        from looksay.cli import caption_ray

        caption_ray.run(paths, overrides, workers=workers, **options)
        return
    if workers:
        raise click.UsageError("--workers needs --engine ray")
    if _is_plain(paths, **options):
        _print_captions(paths, overrides, **options)
    else:
        from looksay.cli import caption_job

        caption_job.run(paths, overrides, **options)


def _is_plain(paths: Sequence[str], batch: int, **options: Any) -> bool:
    """Return whether the images are one batch of files whose captions are only printed as text."""
    needs_job = options["layout"] not in (None, "text") or any(
        options[name]
        for name in (
            "output", "write", "keywords", "attention_folder", "explain", "review", "corrections", "dry_run",
            "only_missing",
        )
    )  # fmt: skip
    are_files = all(path == STDIN or os.path.isfile(path) for path in paths)  # noqa: PTH113 (any text)
    return not needs_job and are_files and len(paths) <= batch and paths.count(STDIN) <= 1


def _print_captions(
    paths: Sequence[str], overrides: dict[str, Any], *, models: Sequence[str], batch: int, threads: int | None,
    device: Any, **_: Any,
) -> None:  # fmt: skip
    from looksay.captioner import load
    from looksay.errors import ImageError, LowConfidence

    captioner = load(*models, threads=threads, device=device)
    failed = 0
    outcomes = captioner.outcomes(map(open_source, paths), batch=batch, **overrides)
    with write_errors():
        for path, outcome in zip(paths, outcomes, strict=True):
            if isinstance(outcome, ImageError):
                failed += not isinstance(outcome, LowConfidence)
                warn(outcome)
            else:
                click.echo(as_text(path if len(paths) > 1 else "", outcome), nl=False)
    if failed:
        report_failures(failed, len(paths))
        sys.exit(1)
