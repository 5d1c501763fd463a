"""``looksay train``: train a captioner from a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.cli.options import log_to_stderr
from looksay.errors import needs


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("changes", nargs=-1, metavar="[SECTION.KEY=VALUE]...")
@click.option("--resume", is_flag=True, help="Resume the run from its last completed epoch.")
@click.option("--dry-run", is_flag=True, help="Print parameters, memory, cache size, steps and time; train nothing.")
def train(recipe: Path, changes: Sequence[str], resume: bool, dry_run: bool) -> None:
    """Train a captioner from a recipe.

    RECIPE is a TOML file, or the name of one that ships with looksay: flickr8k, show-and-tell, show-attend-and-tell, …
    SECTION.KEY=VALUE overrides a key.

    \b
    looksay train recipes/flickr8k.toml data.folder=flickr8k
    looksay train show-and-tell data.folder=flickr8k encoder.name=resnet50 training.run=runs/resnet50
    looksay train small data.folder=photos --dry-run
    looksay train my-recipe.toml data.folder=products.csv --resume

    The folder of the run (training.run) holds metrics.jsonl, curves.png, samples/ with a page for each epoch, the log
    for TensorBoard, the checkpoint for --resume and the best weights, selected by the CIDEr-D of decoded val captions.
    Convert it to a portable model with looksay export. A recipe with phases trains a run for each phase, in a folder
    of its name below training.run.
    """
    log_to_stderr()
    with needs("Training", "train"):
        from looksay.training import recipe_file

        phases = recipe_file.phases(recipe, changes)  # before torch is imported: an error in a recipe shows at once
        if dry_run:
            from looksay.training import plan

            for line in plan.plans(phases):
                click.echo(line)
            return
        from looksay.training import run, trainer
    folder = run.train_phases(phases, resume=resume)
    if trainer.is_first():
        click.echo(f"looksay: the run is in {folder}; export it with looksay export {folder} BUNDLE", err=True)
