"""``looksay caption``: pictures in, captions out."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, cast

import click

from looksay.errors import ImageError
from looksay.specs import Caption, SearchChanges

STDIN = "-"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option("--beam", type=int, help="Captions searched in parallel; 1 is greedy.  [default: the model's own]")
@click.option("--n-best", type=int, default=1, show_default=True, help="Captions printed for each picture.")
@click.option("--max-words", type=int, help="Longest caption.  [default: the model's own]")
@click.option("--model", default="default", show_default=True, metavar="NAME|DIR", help="A shipped model or a folder.")
@click.option("--batch", type=int, default=16, show_default=True, help="Pictures captioned together.")
@click.option(
    "--format", "layout", type=click.Choice(["text", "jsonl", "csv"]), default="text", show_default=True,
    help="text: the caption, after the path and a tab if there are several pictures.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file in place of standard output.")
@click.option("--write", type=click.Choice(["txt"]), help="Also write each caption beside its picture, as NAME.txt.")
def caption(
    paths: Sequence[str], model: str, batch: int, layout: str, output: Path | None, write: str | None, **options: Any
) -> None:
    r"""Say what pictures show.

    PATHS are pictures, folders (with all the pictures below them), globs, or - for a picture on standard input.

    \b
    looksay photo.jpg
    looksay caption holiday/ --format jsonl --output captions.jsonl
    looksay caption 'scans/*.png' --beam 5 --n-best 3
    looksay caption album/ --write txt
    curl -s https://example.org/photo.jpg | looksay -

    A picture that cannot be read is named on standard error and does not stop the others; the exit code is then 1.
    """
    from looksay import captioner, images

    found = images.find(paths)
    if not found:
        raise click.UsageError(f"no pictures in {', '.join(paths)}; looked for {', '.join(sorted(images.EXTENSIONS))}")
    chosen = cast("SearchChanges", {name: value for name, value in options.items() if value is not None})
    talker = captioner.load(model)
    outcomes = talker.outcomes((_open(path) for path in found), batch=batch, **chosen)
    failed = 0
    with _opened(output) as file:
        write_row = _PRINTERS[layout](file, len(found) > 1)
        for path, outcome in zip(found, _with_bar(outcomes, len(found), file), strict=True):
            write_row(str(path), outcome)
            if isinstance(outcome, ImageError):
                failed += 1
                click.echo(f"looksay: {outcome}", err=True)
            elif write and str(path) != STDIN:
                path.with_suffix(f".{write}").write_text(f"{outcome[0].text}\n", encoding="utf-8")
    if failed:
        click.echo(f"looksay: {failed} of {len(found)} pictures could not be read", err=True)
        sys.exit(1)


def _open(path: Path) -> Path | bytes:
    return sys.stdin.buffer.read() if str(path) == STDIN else path


def _opened(output: Path | None) -> Any:
    if output is None:
        return nullcontext(sys.stdout)
    try:
        return output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise click.UsageError(f"--output {output} cannot be written: {error.strerror}") from error


def _with_bar(outcomes: Iterator[Any], count: int, file: IO[str]) -> Iterator[Any]:
    """Show progress on standard error, unless captions are scrolling by on the same terminal."""
    hidden = count == 1 or file.isatty() or not sys.stderr.isatty()
    with click.progressbar(outcomes, length=count, label="captioning", file=sys.stderr, hidden=hidden) as bar:
        yield from bar


Outcome = list[Caption] | ImageError
Printer = Callable[[str, Outcome], None]


def _text(file: IO[str], several: bool) -> Printer:
    """Print the caption alone, or path, tab, caption; one a line."""

    def write(path: str, outcome: Outcome) -> None:
        for found in [] if isinstance(outcome, ImageError) else outcome:
            click.echo(f"{path}\t{found}" if several else found, file=file)

    return write


def _jsonl(file: IO[str], several: bool) -> Printer:  # noqa: ARG001
    """Print one object a picture: image, caption, log_prob; or image, error."""

    def write(path: str, outcome: Outcome) -> None:
        row: dict[str, Any] = {"image": path}
        if isinstance(outcome, ImageError):
            row["error"] = str(outcome)
        else:
            best, *others = ({"caption": found.text, "log_prob": round(found.log_prob, 4)} for found in outcome)
            row |= best | ({"others": others} if others else {})
        click.echo(json.dumps(row, ensure_ascii=False), file=file)

    return write


def _csv(file: IO[str], several: bool) -> Printer:  # noqa: ARG001
    """Print one row a caption: image, caption, log_prob, error."""
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["image", "caption", "log_prob", "error"])

    def write(path: str, outcome: Outcome) -> None:
        if isinstance(outcome, ImageError):
            rows.writerow([path, "", "", str(outcome)])
        else:
            rows.writerows([path, found.text, round(found.log_prob, 4), ""] for found in outcome)

    return write


_PRINTERS = {"text": _text, "jsonl": _jsonl, "csv": _csv}
