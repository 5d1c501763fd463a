"""What ``looksay evaluate`` and ``looksay score`` share: options, and where results go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from looksay.errors import MetricError, MissingExtra

if TYPE_CHECKING:
    from looksay.captioner import Captioner
    from looksay.evaluation import Evaluation

SCORES, PAGE, CAPTIONS = "scores.json", "report.html", "captions.jsonl"


def wants_meteor(asked: bool | None) -> bool:
    """Run METEOR where it can run, and say so where it cannot; if it is asked for, its absence is an error."""
    from looksay.metrics import java

    if asked is not None:
        return asked
    try:
        java.check(meteor=True)
    except (MissingExtra, MetricError) as error:
        click.echo(f"looksay: without METEOR: {error}", err=True)
        return False
    return True


def _report(_: click.Context, __: click.Parameter, folder: Path | None) -> Path | None:
    """Make the folder now: no one should wait for scores that then have no place."""
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"{folder} cannot be made: {error.strerror}") from error
    return folder


def _output(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    if file and not file.parent.is_dir():
        raise click.BadParameter(f"there is no folder {file.parent}")
    return file


_OPTIONS = (
    click.option(
        "--report",
        type=click.Path(path_type=Path, file_okay=False, writable=True),
        callback=_report,
        metavar="DIR",
        help=f"Write a page with images ({PAGE}), {CAPTIONS} and {SCORES} there.",
    ),
    click.option(
        "--output",
        type=click.Path(path_type=Path, dir_okay=False, writable=True),
        callback=_output,
        metavar="FILE",
        help=f"Where the scores go, as JSON.  [default: {SCORES}, in --report's folder if given]",
    ),
    click.option(
        "--meteor/--no-meteor",
        default=None,
        help="METEOR 1.5, in Java.  [default: if Java and pycocoevalcap are there]",
    ),
    click.option("--spice", is_flag=True, help="SPICE, in Java: slow, and needs Stanford CoreNLP."),
)


def scoring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that both share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def publish(found: Evaluation, report: Path | None, output: Path | None, captioner: Captioner | None = None) -> None:
    """Print the table on standard output, and write the files."""
    from looksay.evaluation import text_table

    for problem in found.problems:
        click.echo(f"looksay: {problem}", err=True)
    for line in text_table.table(found):
        click.echo(line)
    if report:
        from looksay.evaluation.report import page

        rows = ({"image": str(r.image), "caption": said} for r, said in zip(found.records, found.said, strict=True))
        _write(report / CAPTIONS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        _write(report / PAGE, page(found, captioner))
        click.echo(f"looksay: the report is in {report / PAGE}", err=True)
    file = output or (report or Path()) / SCORES
    _write(file, json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n")
    click.echo(f"looksay: the scores are in {file}", err=True)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")  # file names may be of any bytes
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}") from error
