"""``looksay export``: a run in, a bundle out."""

from __future__ import annotations

from pathlib import Path

import click

from looksay.cli.log import log_to_stderr
from looksay.errors import MissingExtra


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--int8", is_flag=True, help="Smaller and faster: the decoder in int8, the encoder stored in half precision."
)
@click.option("--data", type=click.Path(path_type=Path), help="The data set to check on.  [default: the run's own]")
def export(run: Path, bundle: Path, int8: bool, data: Path | None) -> None:
    """Make a portable ONNX model of a run.

    RUN is a folder that looksay train made; BUNDLE is a new folder. The bundle is checked against the trained model
    on the val split, and refused if it says anything else; its val scores are written into its model.json and CARD.md.

    \b
    looksay export runs/flickr8k my-captioner --int8
    looksay photo.jpg --model my-captioner
    """
    log_to_stderr()
    try:
        from looksay.export import pack
    except ModuleNotFoundError as error:
        raise MissingExtra("Export", "export") from error
    pack.export(run, bundle, int8=int8, data_folder=data)
    click.echo(f"looksay: the model is in {bundle}; try: looksay PHOTO --model {bundle}", err=True)
