"""``looksay export``: a run becomes a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.cli.caption_io import warn
from looksay.cli.options import log_to_stderr
from looksay.errors import needs


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--int8", is_flag=True, help="Quantise: convolutions and matrix products in int8, with ranges from train images."
)
@click.option(
    "--data", multiple=True, metavar="PATH|NAME=PATH",
    help="Data set to verify and score on; NAME=PATH for one of a mixture.  [default: the run's own]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the model, its data and its approximate size; export nothing.")
def export(run: Path, bundle: Path, int8: bool, data: Sequence[str], dry_run: bool) -> None:
    """Export a run as a portable ONNX model.

    RUN is a folder that looksay train wrote; BUNDLE is a new folder. The exported model is compared with the trained
    one on the val split, and the export fails if a caption differs. Its val scores are written into its model.json and
    CARD.md.

    \b
    looksay export runs/flickr8k my-captioner --int8
    looksay photo.jpg --model my-captioner
    """
    log_to_stderr()
    with needs("Export", "export"):
        from looksay.export import export
    folders: list[Path] = []
    named: dict[str, Path] = {}
    for value in data:
        name, equals, path = value.partition("=")
        if name and equals and not Path(value).exists():
            named[name] = Path(path)
        else:
            folders.append(Path(value))
    if len(folders) > 1:
        raise click.UsageError("--data names two data sets: use NAME=PATH for those of a mixture.")
    if dry_run:
        for line in export.plan(run, bundle, int8, folders[0] if folders else None, named):
            click.echo(line)
        return
    export.export(run, bundle, int8=int8, data_folder=folders[0] if folders else None, mixture_folders=named)
    warn(f"the model is in {bundle}; try: looksay PHOTO --model {bundle}")
