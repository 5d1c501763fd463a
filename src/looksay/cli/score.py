"""``looksay score``: score captions of any system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from looksay.cli.data_options import data_options, read_options
from looksay.cli.scoring_options import publish, resolve_meteor, scoring_options


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--references", type=click.Path(path_type=Path), required=True, help="Data set with the reference captions."
)
@click.option(
    "--prediction-column", default="", metavar="NAME", help="Column of captions in PREDICTIONS.  [default: guessed]"
)
@click.option("--split", default="all", show_default=True, help="Split: train, val, test or all.")
@scoring_options
@data_options
def score(
    predictions: Path, references: Path, prediction_column: str, split: str, report: Path | None, output: Path | None,
    meteor: bool | None, spice: bool, **options: Any,
) -> None:  # fmt: skip
    """Score captions as coco-caption does.

    PREDICTIONS is a file that looksay caption wrote (JSONL or CSV), COCO's results, or another file of images and
    captions. Images without a caption are not scored. The image files are needed only for thumbnails in a report.

    \b
    looksay caption flickr8k/Images --output captions.jsonl --format jsonl
    looksay score captions.jsonl --references flickr8k --split val
    looksay score results.json --references annotations/captions_val2014.json
    """
    from looksay import data, evaluation
    from looksay.evaluation import predictions as prediction_files

    dataset = data.read(references, read_options(options), images=False)
    matched = prediction_files.read(predictions, dataset, split, prediction_column)
    result = evaluation.score_captions(
        matched.records,
        matched.captions,
        {"model": predictions.name, "data": dataset.layout, "split": split},
        dataset=dataset,
        meteor=resolve_meteor(meteor),
        spice=spice,
        problems=[*dataset.problems, *matched.problems],
    )
    publish(result, report, output)
