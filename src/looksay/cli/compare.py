"""``looksay compare``: runs in, a table and a chart out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.errors import MissingExtra


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("compare.png"), show_default=True,
    help="Where the chart goes.",
)  # fmt: skip
def compare(runs: Sequence[Path], output: Path) -> None:
    """Compare runs: val scores, sizes, training times, captions a second.

    RUN is a folder that looksay train made.

    \b
    looksay compare runs/vgg16-merge runs/show-and-tell runs/top-down
    """
    try:
        from looksay.training import compare_runs as runs_compared
    except ModuleNotFoundError as error:
        raise MissingExtra("Comparing runs", "train") from error
    found = runs_compared.compare(runs)
    for line in runs_compared.table(found):
        click.echo(line)
    try:
        runs_compared.chart(found, output)
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
    click.echo(f"looksay: the chart is in {output}", err=True)
