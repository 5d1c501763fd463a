"""``looksay evaluate``: a model and a data set in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from looksay.cli.data_options import data_options, read_options
from looksay.cli.options import decoding_options, decoding_overrides, device_option
from looksay.cli.scoring_options import publish, scoring_options, wants_meteor
from looksay.types import Device


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="The data set; see looksay data --help.")
@click.option("--split", default="val", show_default=True, help="train, val, test or all.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Images captioned together.")
@device_option
@decoding_options
@scoring_options
@data_options
def evaluate(
    models: Sequence[str],
    data: Path,
    split: str,
    batch: int,
    device: Device,
    report: Path | None,
    output: Path | None,
    **options: Any,
) -> None:
    """Caption a split of a data set and score the captions.

    MODEL is a shipped model's name, a model folder or a hub id; several caption together, as an ensemble. The scores
    are coco-caption's; the line "people" says how people's own captions score. It also goes to scores.json.

    \b
    looksay evaluate default --data flickr8k
    looksay evaluate my-captioner --data products.csv --split test --report report
    looksay evaluate seed-0 seed-1 seed-2 --data flickr8k
    """
    from looksay import captioner, evaluation
    from looksay import data as datasets

    meteor, spice = options.pop("meteor"), options.pop("spice")
    dataset = datasets.read(data, read_options(options))
    loaded = captioner.load(*models, device=device)
    search = decoding_overrides(options)
    found = evaluation.evaluate(loaded, dataset, split, batch=batch, meteor=wants_meteor(meteor), spice=spice, **search)
    publish(found, report, output, loaded)
