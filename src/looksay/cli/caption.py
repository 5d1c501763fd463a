"""``looksay caption``: pictures in, captions out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from looksay.cli.loading import device_option, model_option, threads_option
from looksay.cli.searching import search_changes, search_options
from looksay.specs import Device


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--n-best", type=int, default=1, show_default=True, help="Captions printed for each picture; widens the beam to it."
)
@model_option
@click.option("--batch", type=int, default=8, show_default=True, help="Pictures captioned together.")
@click.option(
    "--format", "layout", type=click.Choice(["text", "jsonl", "csv", "sqlite"]),
    help="text: the caption, after the path and a tab if there are several pictures.  [default: what the ending of "
    "--output says (.jsonl, .csv, .db), or text]",
)  # fmt: skip
@click.option(
    "--output",
    help="A file in place of standard output. A JSONL, CSV or SQLite file that is there is gone on with.",
)  # fmt: skip
@click.option(
    "--write", type=click.Choice(["txt", "xmp"]),
    help="Also write each caption beside its picture, as NAME.txt; or into a JPEG or PNG, as XMP's description and "
    "alt text (NAME.xmp beside any other).",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Begin --output anew, and replace what --write or --attention find.")
@click.option("--only-missing", is_flag=True, help="Do not look whether pictures have changed since --output was made.")
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
@search_options
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
    """Say what pictures show.

    PATHS are pictures, folders (with all the pictures below them), globs, or - for a picture on standard input.

    \b
    looksay photo.jpg
    looksay caption archive/ --output captions.jsonl
    looksay caption archive/ --output captions.db
    looksay caption 'scans/*.png' --beam 5 --n-best 3
    looksay photo.jpg --prefix "a dog" --no-dangling --forbid brown
    looksay photo.jpg --temperature 0.8 --top-p 0.9 --n-best 5
    looksay caption album/ --write xmp
    looksay photo.jpg --attention looks
    looksay photo.jpg --explain
    curl -s https://example.org/photo.jpg | looksay -
    looksay caption s3://bucket/photos/ --engine ray --output s3://bucket/captions/

    Stopped at any moment, the same command with the same --output goes on where it was. Pictures that have changed
    since are captioned anew. One that cannot be read is named on standard error and does not stop the others; the exit
    code is then 1.
    """
    if engine == "ray":
        from looksay.cli import clustering

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
        clustering.caption(
            paths, models, output, search_changes(options), batch=batch, workers=workers, overwrite=overwrite
        )
        return
    from looksay.cli import captioning

    captioning.caption(
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
        changes=search_changes(options),
    )
