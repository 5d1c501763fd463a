"""``looksay score``: captions from any system in, scores out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from looksay.cli.data_options import data_options, read_options
from looksay.cli.scoring_options import publish, scoring_options, wants_meteor


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--references", type=click.Path(path_type=Path), required=True, help="The data set that has people's captions."
)
@click.option("--prediction-column", default="", help="Column of PREDICTIONS with the captions.  [default: guessed]")
@click.option("--split", default="all", show_default=True, help="train, val, test, or all that have a caption.")
@scoring_options
@data_options
def score(
    predictions: Path,
    references: Path,
    prediction_column: str,
    split: str,
    report: Path | None,
    output: Path | None,
    meteor: bool | None,
    spice: bool,
    **options: Any,
) -> None:
    """Score captions as coco-caption does.

    PREDICTIONS is what looksay caption wrote (JSONL or CSV), COCO's results, or any such file of images and captions.
    CaptionDataset are not needed, unless for the report.

    \b
    looksay caption flickr8k/Images --output captions.jsonl --format jsonl
    looksay score captions.jsonl --references flickr8k --split val
    looksay score results.json --references annotations/captions_val2014.json
    """
    from looksay import data, evaluation
    from looksay.evaluation import predictions as files

    dataset = data.read(references, read_options(options), images=False)
    found = files.read(predictions, dataset, split, prediction_column)
    facts = {"model": predictions.name, "data": dataset.layout, "split": split}
    judged = evaluation.judge(
        found.records,
        found.said,
        facts,
        dataset=dataset,
        meteor=wants_meteor(meteor),
        spice=spice,
        problems=[*dataset.problems, *found.problems],
    )
    publish(judged, report, output)
