"""Options and output of ``looksay evaluate`` and ``looksay score``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from looksay.cli.caption_io import warn, write_errors
from looksay.errors import MetricError, MissingExtra

if TYPE_CHECKING:
    from looksay.captioner import Captioner
    from looksay.evaluation import Evaluation

SCORES, PAGE, CAPTIONS = "scores.json", "report.html", "captions.jsonl"


def _prepare_report(_: click.Context, __: click.Parameter, folder: Path | None) -> Path | None:
    """Check before any captions are generated that the report can be written."""
    if folder:
        from looksay.evaluation import report

        report.environment()
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_output(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    if file and not file.parent.is_dir():
        raise click.BadParameter(f"folder {file.parent} does not exist; create it first")
    return file


def resolve_meteor(meteor: bool | None) -> bool:
    """Return the value of ``--meteor``; by default, whether METEOR can run, with a warning if it cannot."""
    from looksay.metrics import java

    if meteor is not None:
        return meteor
    try:
        java.check(meteor=True)
    except (MissingExtra, MetricError) as error:
        warn(f"without METEOR: {error}")
        return False
    return True


_OPTIONS = (
    click.option("--report", type=click.Path(path_type=Path, file_okay=False, writable=True), callback=_prepare_report,
                 is_eager=True,  # --output may be in this folder, which must exist then
                 metavar="DIR", help=f"Write a page with images ({PAGE}), {CAPTIONS} and {SCORES} into a folder."),
    click.option("--output", type=click.Path(path_type=Path, dir_okay=False, writable=True), callback=_check_output,
                 metavar="FILE", help=f"Write the scores as JSON.  [default: {SCORES} of the report]"),
    click.option("--meteor/--no-meteor", default=None,
                 help="Compute METEOR 1.5 in Java.  [default: if Java and pycocoevalcap are installed]"),
    click.option("--spice", is_flag=True, help="Compute SPICE in Java; slow, needs Stanford CoreNLP."),
)  # fmt: skip


def scoring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def publish(
    evaluation: Evaluation, report: Path | None, output: Path | None, captioner: Captioner | None = None
) -> None:
    """Print the table on standard output and write the requested files."""
    from looksay.evaluation import text_table

    for problem in evaluation.problems:
        warn(problem)
    try:
        for line in text_table.table(evaluation):
            click.echo(line)
    finally:  # the files are written even if nobody reads the table to its end, as in `| head`
        _write_files(evaluation, report, output, captioner)


def _write_files(evaluation: Evaluation, report: Path | None, output: Path | None, captioner: Captioner | None) -> None:
    from looksay.evaluation import report as reports

    if report:
        pairs = zip(evaluation.records, evaluation.captions, strict=True)
        rows = [json.dumps({"image": str(r.image), "caption": text}, ensure_ascii=False) for r, text in pairs]
        _write(report / CAPTIONS, "".join(f"{row}\n" for row in rows))
        _write(report / PAGE, reports.page(evaluation, captioner))
        warn(f"report written to {report / PAGE}")
    for file in filter(None, (report and report / SCORES, output)):
        _write(file, json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False) + "\n")
        warn(f"scores written to {file}")


def _write(file: Path, text: str) -> None:
    with write_errors(file):
        file.write_text(text, encoding="utf-8", errors="backslashreplace")  # file names may contain any bytes
