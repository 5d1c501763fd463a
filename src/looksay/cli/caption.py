"""``looksay caption``: images in, captions out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from looksay.cli.decoding_options import decoding_options, decoding_overrides
from looksay.cli.model_options import device_option, model_option, threads_option
from looksay.types import Device


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--num-captions",
    type=int,
    default=1,
    show_default=True,
    help="Captions printed for each image; widens the beam to it.",
)
@model_option
@click.option("--batch", type=int, default=8, show_default=True, help="Images captioned together.")
@click.option(
    "--format", "layout", type=click.Choice(["text", "jsonl", "csv", "sqlite"]),
    help="text: the caption, after the path and a tab if there are several images.  [default: what the ending of "
    "--output says (.jsonl, .csv, .db), or text]",
)  # fmt: skip
@click.option(
    "--output",
    help="A file in place of standard output. A JSONL, CSV or SQLite file that is there is gone on with.",
)  # fmt: skip
@click.option(
    "--write", type=click.Choice(["txt", "xmp"]),
    help="Also write each caption beside its image, as NAME.txt; or into a JPEG or PNG, as XMP's description and "
    "alt text (NAME.xmp beside any other).",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Begin --output anew, and replace what --write or --attention find.")
@click.option("--only-missing", is_flag=True, help="Do not look whether images have changed since --output was made.")
@click.option(
    "--attention", "attention_folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Also draw where the model looked at each word, as DIR/NAME.png.",
)  # fmt: skip
@click.option(
    "--explain", is_flag=True, help="Also say what the CNN recognises, how surely, and what the caption names."
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="ray: PATHS are folders, Parquet files or tars, here or in a bucket; --output is a folder for Parquet files.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), help="Of --engine ray.  [default: all cores of the cluster]")
@threads_option
@device_option
@decoding_options
def caption(
    paths: Sequence[str],
    models: Sequence[str],
    threads: int | None,
    device: Device,
    batch: int,
    layout: str | None,
    output: str | None,
    write: str | None,
    overwrite: bool,
    only_missing: bool,
    attention_folder: Path | None,
    explain: bool,
    engine: str,
    workers: int | None,
    **options: Any,
) -> None:
    """Say what images show.

    PATHS are images, folders (with all the images below them), globs, or - for an image on standard input.

    \b
    looksay photo.jpg
    looksay caption archive/ --output captions.jsonl
    looksay caption archive/ --output captions.db
    looksay caption 'scans/*.png' --num-beams 5 --num-captions 3
    looksay photo.jpg --prefix "a dog" --no-dangling --bad-words brown
    looksay photo.jpg --temperature 0.8 --top-p 0.9 --num-captions 5
    looksay caption album/ --write xmp
    looksay photo.jpg --attention looks
    looksay photo.jpg --explain
    curl -s https://example.org/photo.jpg | looksay -
    looksay caption s3://bucket/photos/ --engine ray --output s3://bucket/captions/

    Stopped at any moment, the same command with the same --output goes on where it was. CaptionDataset that have changed
    since are captioned anew. One that cannot be read is named on standard error and does not stop the others; the exit
    code is then 1.
    """
    if engine == "ray":
        from looksay.cli import caption_ray

        if unfit := [
            name
            for name, given in (
                ("--format", layout),
                ("--write", write),
                ("--attention", attention_folder),
                ("--explain", explain),
                ("--threads", threads),
                ("--only-missing", only_missing),
                ("--device", device != "cpu"),
            )
            if given
        ]:
            raise click.UsageError(f"--engine ray has no {unfit[0]}")
        caption_ray.caption(
            paths, models, output, decoding_overrides(options), batch=batch, workers=workers, overwrite=overwrite
        )
        return
    from looksay.cli import caption_job

    caption_job.caption(
        paths,
        models,
        threads=threads,
        device=device,
        batch=batch,
        layout=layout,
        output=Path(output) if output else None,
        write=write,
        overwrite=overwrite,
        only_missing=only_missing,
        looks=attention_folder,
        explain=explain,
        changes=decoding_overrides(options),
    )
