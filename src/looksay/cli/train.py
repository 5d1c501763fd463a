"""``looksay train``: a recipe in, a run out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.cli.options import log_to_stderr
from looksay.errors import MissingExtra


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("changes", nargs=-1, metavar="[SECTION.KEY=VALUE]...")
@click.option("--resume", is_flag=True, help="Go on from the last whole epoch of the run.")
def train(recipe: Path, changes: Sequence[str], resume: bool) -> None:
    """Train a captioner from a recipe.

    RECIPE is a TOML file, or the name of one that ships: flickr8k, show-and-tell, show-attend-and-tell, … Any of its
    keys can be changed on the command line.

    \b
    looksay train recipes/flickr8k.toml data.folder=flickr8k
    looksay train show-and-tell data.folder=flickr8k encoder.name=resnet50 training.run=runs/resnet50
    looksay train my-recipe.toml data.folder=products.csv --resume

    The run's folder (training.run) then holds metrics.jsonl, curves.png, samples/ with a page for each epoch,
    TensorBoard's log, the checkpoint to resume from and the best weights, chosen by the CIDEr-D of decoded val
    captions. Make a portable model of it with looksay export. A recipe with phases makes a run of each, in a folder
    of its name below training.run.
    """
    log_to_stderr()
    from looksay.training import recipe_file

    phases = recipe_file.phases(recipe, changes)
    try:
        from looksay.training import process, run
    except ModuleNotFoundError as error:
        raise MissingExtra("Training", "train") from error
    folder = run.train_phases(phases, resume=resume)
    if process.is_first():
        click.echo(f"looksay: the run is in {folder}; next: looksay export {folder} BUNDLE", err=True)
