"""What ``looksay caption`` does, from its paths to its exit code."""

from __future__ import annotations

import io
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

import click
from PIL import Image

from looksay import images
from looksay.captioner import load
from looksay.cli import printing
from looksay.errors import ImageError
from looksay.jobs import beside, folder
from looksay.jobs.beside import Beside
from looksay.jobs.ondisk import OnDiskSet
from looksay.jobs.outputs import Maker, Output, Row
from looksay.specs import Device, SearchChanges

STDIN = "-"
_STOPPED = 130  # what shells expect of a command that Ctrl-C has ended


def caption(
    paths: Sequence[str],
    models: Sequence[str],
    *,
    threads: int | None,
    device: Device,
    batch: int,
    layout: str | None,
    output: Path | None,
    write: str | None,
    overwrite: bool,
    only_missing: bool,
    looks: Path | None,
    changes: SearchChanges,
) -> None:
    """Caption pictures; the options are those of the command."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # images.read refuses such pictures itself
    several = _check(paths, output)
    layout = layout or (folder.ENDINGS.get(output.suffix.lower()) if output else None) or "text"
    loaded = load(*models, threads=threads, device=device)
    if looks and loaded.bundle.spec.grid == (1, 1):
        raise click.UsageError(f"--attention: {models[0]} has no attention; it is the first --model that is drawn")
    besides = _besides(paths, write, looks, overwrite=overwrite)
    with ExitStack() as stack:
        job = None
        if output and layout in folder.OUTPUTS and (output.is_file() or not output.exists()):
            maker = Maker.of(loaded, loaded.options(changes.copy()))
            job = stack.enter_context(folder.open_output(output, layout, maker, overwrite=overwrite))
            known = _known(job, only_missing=only_missing)
            left, done = folder.missing(job, known, images.find(paths)), len(known)
            put: Callable[[Row], None] = job.add
        else:
            left, done = images.find(paths), 0
            put = stack.enter_context(printing.printer(layout, output, several=several, overwrite=overwrite))
        rows = folder.caption(
            loaded, left, batch=batch, attention=bool(looks), digests=bool(job), opened=_open, **changes
        )
        quiet = not output and sys.stdout.isatty()  # captions that scroll by are progress enough
        shown = stack.enter_context(_bar(rows, paths, done=done, hidden=quiet or not several))
        tally = _finish_all(shown, put, besides, resumable=bool(job))
    if tally["stay"]:
        click.echo(f"looksay: {tally['stay']:,} files were there and stay; --overwrite replaces them", err=True)
    if tally["failed"]:
        click.echo(f"looksay: {tally['failed']:,} of {tally['pictures']:,} pictures failed", err=True)
    if tally["failed"] or tally["stopped"]:
        sys.exit(_STOPPED if tally["stopped"] else 1)


def _check(paths: Sequence[str], output: Path | None) -> bool:
    """Refuse paths that cannot be meant; return whether they are several pictures."""
    if "" in paths:
        raise click.UsageError("a path is empty; use . for this folder")
    if url := next((path for path in paths if path.startswith(("http://", "https://"))), None):
        raise click.UsageError(f"looksay fetches nothing from the network: curl -s {url} | looksay -")
    if paths.count(STDIN) > 1:
        raise click.UsageError("- stands for one picture on standard input; it can be named once")
    first = list(islice(images.find(paths), 2))
    if not first:
        raise click.UsageError(f"no pictures in {', '.join(paths)}; looked for {', '.join(sorted(images.EXTENSIONS))}")
    if output and any(path.resolve() == output.resolve() for path in images.find(paths)):
        raise click.UsageError(f"--output {output} is one of the pictures; name another file")
    return len(first) > 1


def _besides(paths: Sequence[str], write: str | None, looks: Path | None, *, overwrite: bool) -> list[Beside]:
    """Name what else is written for each picture; refuse what would write over one."""
    all_: list[Beside] = []
    if looks:
        try:
            looks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"--attention {looks} cannot be made: {error.strerror}") from error
        all_.append(beside.Drawing(overwrite, looks))
    if write:
        all_.append({"txt": beside.Text, "xmp": beside.Metadata}[write](overwrite))
    if all_ and STDIN in paths:
        option = "--attention" if looks else "--write"
        raise click.UsageError(f"{option} has no place for a picture on standard input")
    beside.check(all_, lambda: images.find(paths))
    return all_


def _known(job: Output, *, only_missing: bool) -> OnDiskSet:
    """Return the pictures that a job has captioned, without those that have changed since."""
    changed = 0 if only_missing else folder.forget_changed(job)
    if changed:
        click.echo(f"looksay: pictures that have changed since {job.file} was made: {changed:,}", err=True)
    known = OnDiskSet(image for image, _ in job.rows())
    if known:
        click.echo(f"looksay: going on with {job.file}, which has {len(known):,} pictures", err=True)
    return known


def _finish_all(
    rows: Iterable[Row], put: Callable[[Row], None], besides: Sequence[Beside], *, resumable: bool
) -> Counter[str]:
    """Write all rows, and what stands beside each; count pictures, failed ones and files that stay."""
    tally = Counter[str]()
    try:
        for row in rows:
            tally["pictures"] += 1
            problems, written = _write_beside(row, besides, tally)
            # A picture that holds its caption now is another file.
            put(replace(row, sha256=folder.digest(Path(row.image))) if written and row.sha256 else row)
            for problem in problems:
                click.echo(f"looksay: {problem}", err=True)
            tally["failed"] += bool(problems)
    except KeyboardInterrupt:
        tally["stopped"] = 1
        again = "; the same command goes on from there" if resumable else ""
        click.echo(f"looksay: stopped after {tally['pictures']:,} pictures{again}", err=True)
    return tally


def _write_beside(row: Row, besides: Sequence[Beside], tally: Counter[str]) -> tuple[list[str], bool]:
    """Write what stands beside a picture; return what went wrong, and whether anything was written."""
    if isinstance(row.outcome, ImageError):
        return [str(row.outcome)], False
    problems, written = [], False
    picture = Path(row.image)
    for each in besides:
        try:
            done = each.write(picture, row.outcome)
            tally["stay"] += not done
            written |= done
        except ImageError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{each.file(picture)} cannot be written: {error.strerror}")
    return problems, written


class _Stdin(io.BytesIO):
    """Standard input, read to its end so that Pillow can seek in it."""

    name = "standard input"


def _open(path: Path) -> Path | _Stdin:
    return _Stdin(sys.stdin.buffer.read()) if str(path) == STDIN else path


def _bar(
    rows: Iterator[Row], paths: Sequence[str], *, done: int, hidden: bool
) -> AbstractContextManager[Iterable[Row]]:
    """Show on standard error how many pictures are done, how fast, and for how long it will go on."""
    hidden = hidden or not sys.stderr.isatty()
    count = 1 if hidden else sum(1 for _ in images.find(paths))
    started, seen = time.monotonic(), 0

    def rate(_: Row | None) -> str:
        nonlocal seen
        seen += 1
        return f"{seen / (time.monotonic() - started):.0f} pictures/s"

    return click.progressbar(
        rows, length=max(0, count - done), label="captioning", show_pos=True, item_show_func=rate, file=sys.stderr,
        hidden=hidden,
    )  # fmt: skip
