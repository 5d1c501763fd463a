"""``looksay compare``: compare runs in a table and a chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from looksay.cli.caption_io import warn, write_errors
from looksay.errors import needs


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("compare.png"), show_default=True,
    help="File of the chart (PNG).",
)  # fmt: skip
def compare(runs: Sequence[Path], output: Path) -> None:
    """Compare runs: val scores, sizes, training times and captions per second.

    RUN is a folder made by looksay train.

    \b
    looksay compare runs/vgg16-merge runs/show-and-tell runs/top-down
    """
    with needs("Comparing runs", "train"):
        from looksay.training import compare_runs
    summaries = compare_runs.compare(runs)
    for line in compare_runs.table(summaries):
        click.echo(line)
    with write_errors(output):
        compare_runs.chart(summaries, output)
    warn(f"the chart is in {output}")
