"""What ``looksay evaluate`` and ``looksay score`` share: options, and where results go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from looksay.errors import DataError

if TYPE_CHECKING:
    from looksay.captioner import Captioner
    from looksay.evaluation import Evaluation

SCORES, PAGE, CAPTIONS = "scores.json", "report.html", "captions.jsonl"


def _meteor(_: click.Context, __: click.Parameter, wanted: bool | None) -> bool:
    """Run METEOR where it can run, and say so where it cannot; if it is asked for, its absence is an error."""
    from looksay.metrics import java

    if wanted is None and not java.meteor_available():
        click.echo('looksay: no METEOR: it needs Java and pip install "looksay[metrics]"', err=True)
        return False
    return wanted is None or wanted


_OPTIONS = (
    click.option(
        "--report",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help=f"Write a page with pictures ({PAGE}), {CAPTIONS} and {SCORES} there.",
    ),
    click.option(
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help=f"Where the scores go, as JSON.  [default: {SCORES}, in --report's folder if given]",
    ),
    click.option(
        "--meteor/--no-meteor",
        default=None,
        callback=_meteor,
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
    from looksay.evaluation import text

    for problem in found.problems:
        click.echo(f"looksay: {problem}", err=True)
    for line in text.table(found):
        click.echo(line)
    file = output or (report or Path()) / SCORES
    try:
        if report:
            from looksay.evaluation.report import page

            report.mkdir(parents=True, exist_ok=True)
            (report / PAGE).write_text(page(found, captioner), encoding="utf-8")
            rows = zip(found.records, found.said, strict=True)
            lines = [json.dumps({"image": str(r.image), "caption": c}, ensure_ascii=False) + "\n" for r, c in rows]
            (report / CAPTIONS).write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
            click.echo(f"looksay: the report is in {report / PAGE}", err=True)
        file.write_text(json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{error.filename or file} cannot be written: {error.strerror}; name another place") from error
    click.echo(f"looksay: the scores are in {file}", err=True)
