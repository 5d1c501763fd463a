"""``looksay evaluate``: score a model on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from looksay.cli.data_options import data_options, read_options
from looksay.cli.options import batch_option, decoding_options, decoding_overrides, device_option
from looksay.cli.scoring_options import publish, resolve_meteor, scoring_options
from looksay.types import Device


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Data set; see looksay data --help.")
@click.option("--split", default="val", show_default=True, help="Split: train, val, test or all.")
@batch_option
@device_option
@decoding_options
@scoring_options
@data_options
def evaluate(
    models: Sequence[str], data: Path, split: str, batch: int, device: Device, report: Path | None, output: Path | None,
    meteor: bool | None, spice: bool, **options: Any,
) -> None:  # fmt: skip
    """Caption a split of a data set and score the captions.

    MODEL is a shipped model's name, a model folder or a hub id; several models form an ensemble. Scores equal
    coco-caption's; the row "human" scores the reference captions against each other.

    \b
    looksay evaluate default --data flickr8k
    looksay evaluate my-captioner --data products.csv --split test --report report
    looksay evaluate seed-0 seed-1 seed-2 --data flickr8k
    """
    from looksay import captioner, evaluation
    from looksay import data as datasets

    dataset = datasets.read(data, read_options(options))
    loaded = captioner.load(*models, device=device)
    overrides, meteor = decoding_overrides(options), resolve_meteor(meteor)
    result = evaluation.evaluate(loaded, dataset, split, batch=batch, meteor=meteor, spice=spice, **overrides)
    publish(result, report, output, loaded)
