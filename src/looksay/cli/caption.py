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

from looksay.cli.loading import device_option, model_option, threads_option
from looksay.cli.searching import search_changes, search_options
from looksay.errors import ImageError
from looksay.specs import Caption, Device

STDIN = "-"


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATHS...")
@click.option(
    "--n-best", type=int, default=1, show_default=True, help="Captions printed for each picture; widens the beam to it."
)
@model_option
@click.option("--batch", type=int, default=8, show_default=True, help="Pictures captioned together.")
@click.option(
    "--format", "layout", type=click.Choice(["text", "jsonl", "csv"]), default="text", show_default=True,
    help="text: the caption, after the path and a tab if there are several pictures.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file in place of standard output.")
@click.option("--write", type=click.Choice(["txt"]), help="Also write each caption beside its picture, as NAME.txt.")
@click.option("--overwrite", is_flag=True, help="Let --write and --attention replace files that are there.")
@click.option(
    "--attention", "attention_folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Also draw where the model looked at each word, as DIR/NAME.png.",
)  # fmt: skip
@threads_option
@device_option
@search_options
def caption(
    paths: Sequence[str],
    models: Sequence[str],
    threads: int | None,
    device: Device,
    batch: int,
    layout: str,
    output: Path | None,
    write: str | None,
    overwrite: bool,
    attention_folder: Path | None,
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
    looksay photo.jpg --attention looks
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
    loaded = captioner.load(*models, threads=threads, device=device)
    if attention_folder and loaded.bundle.spec.grid == (1, 1):
        raise click.UsageError(f"--attention: {models[0]} has no attention; it is the first --model that is drawn")
    drawings = _drawings(found, attention_folder, overwrite=overwrite) if attention_folder else {}
    chosen = search_changes(options)
    outcomes = loaded.outcomes((_open(path) for path in found), batch=batch, attention=bool(drawings), **chosen)
    failed = 0
    with _opened(output) as file:
        write_row = _PRINTERS[layout](file, len(found) > 1)
        for path, outcome in zip(found, _with_bar(outcomes, len(found), file), strict=True):
            write_row(str(path), outcome)
            if isinstance(outcome, ImageError):
                problems = [str(outcome)]
            else:
                problems = [_write_beside(beside.get(path), outcome), _draw(path, drawings.get(path), outcome)]
            for problem in filter(None, problems):
                click.echo(f"looksay: {problem}", err=True)
            failed += any(problems)
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
    """Name the file beside each picture."""
    return _new_files({path: path.with_suffix(f".{ending}") for path in _files(found, "--write")}, overwrite=overwrite)


def _drawings(found: Sequence[Path], folder: Path, *, overwrite: bool) -> dict[Path, Path]:
    """Name the drawing of each picture, in a folder that is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--attention {folder} cannot be made: {error.strerror}") from error
    return _new_files({path: folder / f"{path.stem}.png" for path in _files(found, "--attention")}, overwrite=overwrite)


def _files(found: Sequence[Path], option: str) -> Sequence[Path]:
    if any(str(path) == STDIN for path in found):
        raise click.UsageError(f"{option} has no place for a picture on standard input")
    return found


def _new_files(files: dict[Path, Path], *, overwrite: bool) -> dict[Path, Path]:
    """Return what will be written for each picture, and refuse to lose what is there."""
    pictures = {path.resolve() for path in files}
    for file, count in Counter(files.values()).items():
        if count > 1:
            raise click.UsageError(f"{file} would be written for {count} pictures; caption them one by one")
        if file.resolve() in pictures:
            raise click.UsageError(f"{file} is one of the pictures; name another folder")
        if file.exists() and not overwrite:
            raise click.UsageError(f"{file} exists already; --overwrite replaces it")
    return files


def _write_beside(file: Path | None, captions: list[Caption]) -> str:
    """Write the best caption; return what went wrong."""
    try:
        if file:
            file.write_text(f"{captions[0].text}\n", encoding="utf-8")
    except OSError as error:
        return f"{file} cannot be written: {error.strerror}"
    return ""


def _draw(path: Path, file: Path | None, captions: list[Caption]) -> str:
    """Draw where the model looked for the best caption; return what went wrong."""
    from looksay import drawing

    try:
        if file:
            drawing.attention(path, captions[0]).save(file)
    except ImageError as error:
        return str(error)
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
