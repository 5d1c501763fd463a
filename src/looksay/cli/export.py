"""``looksay export``: a run in, a bundle out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.cli.options import log_to_stderr
from looksay.errors import MissingExtra


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--int8", is_flag=True, help="Smaller and faster: matrix products in int8, all else stored in half precision."
)
@click.option(
    "--data", multiple=True, metavar="PATH|NAME=PATH",
    help="The data set to check on, and by their names those mixed with it.  [default: the run's own]",
)  # fmt: skip
def export(run: Path, bundle: Path, int8: bool, data: Sequence[str]) -> None:
    """Make a portable ONNX model of a run.

    RUN is a folder that looksay train made; BUNDLE is a new folder. The bundle is checked against the trained model
    on the val split, and refused if it says anything else; its val scores are written into its model.json and CARD.md.

    \b
    looksay export runs/flickr8k my-captioner --int8
    looksay photo.jpg --model my-captioner
    """
    log_to_stderr()
    try:
        from looksay.export import export
    except ModuleNotFoundError as error:
        raise MissingExtra("Export", "export") from error
    named = {name: Path(path) for name, equals, path in (each.partition("=") for each in data) if equals and name}
    plain = [Path(each) for each in data if "=" not in each]
    if len(plain) > 1:
        raise click.UsageError("--data names the data set twice; those of a mixture are named as NAME=PATH")
    export.export(run, bundle, int8=int8, data_folder=plain[0] if plain else None, mixed=named)
    click.echo(f"looksay: the model is in {bundle}; try: looksay PHOTO --model {bundle}", err=True)
