"""``looksay caption``: pictures in, captions out."""

from __future__ import annotations

import csv
import io
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from looksay.cli.searching import search_changes, search_options
from looksay.errors import ImageError
from looksay.specs import Caption

STDIN = "-"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--n-best", type=int, default=1, show_default=True, help="Captions printed for each picture; widens the beam to it."
)
@click.option(
    "--model",
    default="default",
    show_default=True,
    metavar="NAME|DIR|ID",
    help="A shipped model, a folder or a hub id.",
)
@click.option("--batch", type=int, default=16, show_default=True, help="Pictures captioned together.")
@click.option(
    "--format", "layout", type=click.Choice(["text", "jsonl", "csv"]), default="text", show_default=True,
    help="text: the caption, after the path and a tab if there are several pictures.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file in place of standard output.")
@click.option("--write", type=click.Choice(["txt"]), help="Also write each caption beside its picture, as NAME.txt.")
@click.option("--overwrite", is_flag=True, help="Let --write replace files that are there already.")
@search_options
def caption(
    paths: Sequence[str],
    model: str,
    batch: int,
    layout: str,
    output: Path | None,
    write: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Say what pictures show.

    PATHS are pictures, folders (with all the pictures below them), globs, or - for a picture on standard input.

    \b
    looksay photo.jpg
    looksay caption holiday/ --format jsonl --output captions.jsonl
    looksay caption 'scans/*.png' --beam 5 --n-best 3
    looksay photo.jpg --prefix "a dog" --no-dangling --forbid brown
    looksay photo.jpg --temperature 0.8 --top-p 0.9 --n-best 5
    looksay caption album/ --write txt
    curl -s https://example.org/photo.jpg | looksay -

    A picture that cannot be read is named on standard error and does not stop the others; the exit code is then 1.
    """
    from PIL import Image

    from looksay import captioner

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # images.read refuses such pictures itself
    found = _find(paths)
    beside = _sidecars(found, write, overwrite=overwrite) if write else {}
    if output and output.resolve() in {path.resolve() for path in found}:
        raise click.UsageError(f"--output {output} is one of the pictures; name another file")
    chosen = search_changes(options)
    outcomes = captioner.load(model).outcomes((_open(path) for path in found), batch=batch, **chosen)
    failed = 0
    with _opened(output) as file:
        write_row = _PRINTERS[layout](file, len(found) > 1)
        for path, outcome in zip(found, _with_bar(outcomes, len(found), file), strict=True):
            write_row(str(path), outcome)
            problem = str(outcome) if isinstance(outcome, ImageError) else _write_beside(beside.get(path), outcome)
            if problem:
                failed += 1
                click.echo(f"looksay: {problem}", err=True)
    if failed:
        click.echo(f"looksay: {failed} of {len(found)} pictures failed", err=True)
        sys.exit(1)


def _find(paths: Sequence[str]) -> list[Path]:
    from looksay import images

    if "" in paths:
        raise click.UsageError("a path is empty; use . for this folder")
    if url := next((path for path in paths if path.startswith(("http://", "https://"))), None):
        raise click.UsageError(f"looksay fetches nothing from the network: curl -s {url} | looksay -")
    if paths.count(STDIN) > 1:
        raise click.UsageError("- stands for one picture on standard input; it can be named once")
    found = images.find(paths)
    if not found:
        raise click.UsageError(f"no pictures in {', '.join(paths)}; looked for {', '.join(sorted(images.EXTENSIONS))}")
    return found


def _sidecars(found: Sequence[Path], ending: str, *, overwrite: bool) -> dict[Path, Path]:
    """Name the file beside each picture, and refuse to lose one that is there."""
    beside = {path: path.with_suffix(f".{ending}") for path in found if str(path) != STDIN}
    if len(beside) < len(found):
        raise click.UsageError("--write has no place for a picture on standard input")
    for file, count in Counter(beside.values()).items():
        if count > 1:
            raise click.UsageError(f"--write would write {file} for {count} pictures; use --output")
        if file.exists() and not overwrite:
            raise click.UsageError(f"{file} exists already; --overwrite replaces it")
    return beside


def _write_beside(file: Path | None, captions: list[Caption]) -> str:
    """Write the best caption; return what went wrong."""
    try:
        if file:
            file.write_text(f"{captions[0].text}\n", encoding="utf-8")
    except OSError as error:
        return f"{file} cannot be written: {error.strerror}"
    return ""


class _Stdin(io.BytesIO):
    """Standard input, read to its end so that Pillow can seek in it."""

    name = "standard input"


def _open(path: Path) -> Path | _Stdin:
    return _Stdin(sys.stdin.buffer.read()) if str(path) == STDIN else path


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """Open what captions are written to: always UTF-8, with file names of any bytes as they are."""
    try:
        if output is None:
            yield sys.stdout
        else:
            with output.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                yield file
    except BrokenPipeError:
        raise  # whoever read the captions has seen enough; click ends quietly
    except OSError as error:
        raise click.UsageError(f"{output or 'standard output'} cannot be written: {error.strerror}") from error


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
        undecodable = any("\ud800" <= character <= "\udfff" for character in path)  # a file name that is not UTF-8
        click.echo(json.dumps(row, ensure_ascii=undecodable), file=file)

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
