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
from functools import partial
from itertools import islice
from pathlib import Path

import click
from PIL import Image

from looksay import images
from looksay.captioner import load
from looksay.cli import caption_printer
from looksay.decoding.options import Overrides
from looksay.errors import ImageError
from looksay.jobs import folder_job, sidecar_writers
from looksay.jobs.disk_set import DiskSet
from looksay.jobs.sidecar_writers import SidecarWriter
from looksay.jobs.writers import Output, Provenance, Row
from looksay.types import Device

STDIN = "-"
Find = Callable[[], Iterator[Path]]
"""Names the images, each time anew."""

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
    explain: bool,
    changes: Overrides,
) -> None:
    """Caption images; the options are those of the command."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # images.read refuses such images itself
    find = partial(images.find, paths, looks)  # without the drawings of this very command
    several = _check(paths, find, output)
    layout = layout or (folder_job.ENDINGS.get(output.suffix.lower()) if output else None) or "text"
    if explain and (output or layout != "text"):
        raise click.UsageError("--explain is for captions on the screen; leave out --output and --format")
    loaded = load(*models, threads=threads, device=device)
    if explain and not loaded.bundle.tags:
        raise click.UsageError(f"--explain: {models[0]} does not say what it recognises; it has no tags.json")
    if looks and loaded.bundle.spec.grid == (1, 1):
        raise click.UsageError(f"--attention: {models[0]} has no attention; it is the first --model that is drawn")
    besides = _besides(paths, find, write, looks, overwrite=overwrite)
    with ExitStack() as stack:
        job = None
        # Standard input has no name by which it could be known again.
        named = STDIN not in paths and output is not None and (output.is_file() or not output.exists())
        if output and named and layout in folder_job.OUTPUTS:
            maker = Provenance.of(loaded, loaded.options(changes))
            job = stack.enter_context(folder_job.open_output(output, layout, maker, overwrite=overwrite))
            known, failed = _known(job, only_missing=only_missing, besides=bool(besides))
            left, done = folder_job.missing(job, known, find()), len(known)
            put: Callable[[Row], None] = job.add
        else:
            left, done, failed = find(), 0, 0
            put = stack.enter_context(
                caption_printer.printer(
                    "explained" if explain else layout, output, several=several, overwrite=overwrite
                )
            )
        rows = folder_job.caption(
            loaded, left, batch=batch, attention=bool(looks), digests=bool(job), opened=_open, **changes
        )
        quiet = not output and sys.stdout.isatty()  # captions that scroll by are progress enough
        shown = stack.enter_context(_bar(rows, find, done=done, hidden=quiet or not several))
        tally = _finish_all(shown, put, besides, resumable=bool(job))
    if tally["stay"]:
        click.echo(f"looksay: {tally['stay']:,} files were there and stay; --overwrite replaces them", err=True)
    if tally["failed"]:
        click.echo(f"looksay: {tally['failed']:,} of {tally['images']:,} images failed", err=True)
    if failed:
        click.echo(f"looksay: {failed:,} of the {done:,} images before had failed; see {output}", err=True)
    if failed or tally["failed"] or tally["stopped"]:
        sys.exit(_STOPPED if tally["stopped"] else 1)


def _check(paths: Sequence[str], find: Find, output: Path | None) -> bool:
    """Refuse paths that cannot be meant; return whether they are several images."""
    if "" in paths:
        raise click.UsageError("a path is empty; use . for this folder")
    if url := next((path for path in paths if path.startswith(("http://", "https://"))), None):
        raise click.UsageError(f"looksay fetches nothing from the network: curl -s {url} | looksay -")
    if paths.count(STDIN) > 1:
        raise click.UsageError("- stands for one image on standard input; it can be named once")
    first = list(islice(find(), 2))
    if not first:
        raise click.UsageError(f"no images in {', '.join(paths)}; looked for {', '.join(sorted(images.EXTENSIONS))}")
    if output and any(path.resolve() == output.resolve() for path in find()):
        raise click.UsageError(f"--output {output} is one of the images; name another file")
    return len(first) > 1


def _besides(
    paths: Sequence[str], find: Find, write: str | None, looks: Path | None, *, overwrite: bool
) -> list[SidecarWriter]:
    """Name what else is written for each image; refuse what would write over one."""
    all_: list[SidecarWriter] = []
    if looks:
        try:
            looks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"--attention {looks} cannot be made: {error.strerror}") from error
        all_.append(sidecar_writers.Drawing(overwrite, looks))
    if write:
        all_.append({"txt": sidecar_writers.Text, "xmp": sidecar_writers.Metadata}[write](overwrite))
    if all_ and STDIN in paths:
        option = "--attention" if looks else "--write"
        raise click.UsageError(f"{option} has no place for an image on standard input")
    sidecar_writers.check(all_, find)
    return all_


def _known(job: Output, *, only_missing: bool, besides: bool) -> tuple[DiskSet, int]:
    """Return the images that a job has captioned, without those that have changed since; and how many had failed."""
    changed = 0 if only_missing else folder_job.forget_changed(job)
    if changed:
        click.echo(f"looksay: images that have changed since {job.file} was made: {changed:,}", err=True)
    known, failed = DiskSet(), 0
    for entry in job.rows():
        known.add(entry.image)
        failed += entry.failed
    if known:
        note = "; --write and --attention are for the others" if besides else ""
        click.echo(f"looksay: going on with {job.file}, which has {len(known):,} images{note}", err=True)
    return known, failed


def _finish_all(
    rows: Iterable[Row], put: Callable[[Row], None], besides: Sequence[SidecarWriter], *, resumable: bool
) -> Counter[str]:
    """Write all rows, and what stands beside each; count images, failed ones and files that stay."""
    tally = Counter[str]()
    try:
        for row in rows:
            tally["images"] += 1
            problems = _write_beside(row, besides, tally)
            if isinstance(row.outcome, ImageError):
                put(row)
            elif not (problems and resumable):  # what could not be written is tried again by the same command
                inside = any(each.file(Path(row.image)) == Path(row.image) for each in besides)
                # An image that holds its caption now is another file.
                put(replace(row, sha256=folder_job.digest(Path(row.image))) if inside and resumable else row)
            for problem in problems:
                click.echo(f"looksay: {problem}", err=True)
            tally["failed"] += bool(problems)
    except KeyboardInterrupt:
        tally["stopped"] = 1
        again = "; the same command goes on from there" if resumable else ""
        click.echo(f"looksay: stopped after {tally['images']:,} images{again}", err=True)
    return tally


def _write_beside(row: Row, besides: Sequence[SidecarWriter], tally: Counter[str]) -> list[str]:
    """Write what stands beside an image; return what went wrong."""
    if isinstance(row.outcome, ImageError):
        return [str(row.outcome)]
    problems = []
    image = Path(row.image)
    for each in besides:
        try:
            tally["stay"] += not each.write(image, row.outcome)
        except ImageError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{each.file(image)} cannot be written: {error.strerror}")
    return problems


class _Stdin(io.BytesIO):
    """Standard input, read to its end so that Pillow can seek in it."""

    name = "standard input"


def _open(path: Path) -> Path | _Stdin:
    return _Stdin(sys.stdin.buffer.read()) if str(path) == STDIN else path


def _bar(rows: Iterator[Row], find: Find, *, done: int, hidden: bool) -> AbstractContextManager[Iterable[Row]]:
    """Show on standard error how many images are done, how fast, and for how long it will go on."""
    hidden = hidden or not sys.stderr.isatty()
    count = 1 if hidden else sum(1 for _ in find())
    started, seen = time.monotonic(), 0

    def counted() -> Iterator[Row]:
        nonlocal seen
        for seen, row in enumerate(rows, 1):  # noqa: B007
            yield row

    return click.progressbar(
        counted(), length=max(0, count - done), label="captioning", show_pos=True, file=sys.stderr, hidden=hidden,
        item_show_func=lambda _: f"{seen / max(time.monotonic() - started, 1e-3):.0f} images/s",
    )  # fmt: skip
