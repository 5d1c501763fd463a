"""``looksay caption`` for folders, files and sidecar files: from the paths to the exit code."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

import click

from looksay import image_files
from looksay.captioner import load
from looksay.cli import caption_sidecars
from looksay.cli.caption_io import STDIN, as_text, open_source, plural, report_failures, warn, write_errors
from looksay.cli.caption_plan import JobOptions, print_plan
from looksay.cli.caption_sidecars import FindImages
from looksay.decoding.options import Overrides
from looksay.errors import ImageError, LowConfidence
from looksay.jobs import folder_job, review_page
from looksay.jobs.disk_set import DiskSet
from looksay.jobs.sidecar_writers import SidecarWriter
from looksay.jobs.text_writers import COLUMNS, csv_line, csv_lines, json_line
from looksay.jobs.writers import CaptionWriter, Outcome, Provenance, Row
from looksay.types import Caption, Device

_TEXT = (".txt", ".tsv")
_RESUME = ("; run the same command again to resume", "; run the same command without --overwrite to resume")
_REPORT_SECONDS = 60
_INTERRUPTED = 130  # the exit code that shells expect after Ctrl-C


def run(
    paths: Sequence[str], overrides: Overrides, *, models: Sequence[str], threads: int | None, device: Device,
    batch: int, layout: str | None, output: str | None, attention_folder: Path | None, **more: Any,
) -> None:  # fmt: skip
    """Caption images; the parameters are the options of the command."""
    file = Path(output) if output else None
    find = partial(image_files.find, paths, attention_folder)  # without the attention maps that this command draws
    has_several = _check_paths(paths, find, file, overwrite=more["overwrite"])
    layout = layout or _layout(file)
    # An image on standard input has no name by which a resumed job could recognise it.
    is_resumable = STDIN not in paths and file is not None and (file.is_file() or not file.exists())
    is_resumable = is_resumable and layout in folder_job.WRITERS
    options = JobOptions(layout, file, is_resumable, attention_folder=attention_folder, **more)
    captioner = load(*models, threads=threads, device=device)
    options.check(captioner)
    decoding = captioner.options(overrides)
    sidecars = caption_sidecars.writers(
        paths, find, options.write, attention_folder, keywords=options.keywords, overwrite=options.overwrite
    )
    ignored = Counter[str]()
    if options.dry_run:
        print_plan(find(ignored), sidecars, options, Provenance.of(captioner, decoding))
        _report(Counter(), ignored, decoding.min_confidence, is_resumable=is_resumable)
        return
    caption_sidecars.make_folder(attention_folder)
    with ExitStack() as stack:
        add: Callable[[Row], None]
        known, pending, writer, failed_before, unwritten = DiskSet(), find(ignored), None, 0, 0
        if file and is_resumable:
            provenance = Provenance.of(captioner, decoding)
            opened = folder_job.open_writer(file, layout, provenance, overwrite=options.overwrite)
            writer, is_locked = stack.enter_context(opened)
            if not is_locked:
                warn(f"{file} is on a file system without locks: let no other looksay write to it")
            failed_before, unwritten = _resume(writer, known, find, sidecars, options)
            add, name = writer.add, writer.name
            pending = (path for path in pending if known.add(name(str(path))))
        else:
            add = stack.enter_context(_printer(options, has_several))
        rows = folder_job.caption_images(
            captioner, pending, batch=batch, attention=bool(attention_folder), hash_files=bool(writer),
            open_source=open_source, **overrides,
        )  # fmt: skip
        total = partial(_count, find, len(known))
        # Captions on a terminal show the progress themselves.
        has_progress = has_several and (file or not sys.stdout.isatty())
        started = time.monotonic()
        with _progress(rows, total if has_progress else None, started) as bar:
            counts = _write_all(bar, add, sidecars, _RESUME[options.overwrite] if writer else "")
        if has_several and file and counts["images"]:
            seconds = time.monotonic() - started
            warn(f"{plural(counts['images'], 'image')} in {seconds:.1f} s, {counts['images'] / seconds:.0f} a second")
        if writer and options.review and not counts["interrupted"]:
            writer.flush()
            shown = review_page.write(options.review, writer.entries(), writer.file.parent)
            warn(f"{plural(shown, 'caption')} to review in {options.review}")
    _report(counts, ignored, decoding.min_confidence, is_resumable=bool(writer))
    if failed_before:
        warn(f"{plural(failed_before, 'image')} failed in an earlier run; see {output}")
    if failed_before or unwritten or counts["failed"] or counts["interrupted"]:
        sys.exit(_INTERRUPTED if counts["interrupted"] else 1)


def _layout(file: Path | None) -> str:
    """Return the layout that the suffix of a file names."""
    suffix = file.suffix.lower() if file else ""
    if suffix not in ("", *_TEXT, *folder_job.SUFFIXES):
        known = ", ".join((*folder_job.SUFFIXES, *_TEXT))
        raise click.UsageError(
            f"--output {file}: looksay writes {known}; for text under another name add --format text"
        )
    return folder_job.SUFFIXES.get(suffix, "text")


def _count(find: FindImages, done: int) -> int:
    return max(0, sum(1 for _ in find()) - done)


def _progress(rows: Iterable[Row], total: Callable[[], int] | None, started: float) -> Any:
    """Return a progress bar over the rows, with their rate; without a terminal a log, and without a total nothing."""
    if total and not sys.stderr.isatty():
        rows, total = _with_reports(rows, total), None
    bar: Any = click.progressbar(
        rows, length=total() if total else 0, label="captioning", show_pos=True, file=sys.stderr, hidden=not total,
        item_show_func=lambda _: f"{bar.pos / max(time.monotonic() - started, 1e-3):.0f} images/s",
    )  # fmt: skip
    return bar


def _with_reports(rows: Iterable[Row], total: Callable[[], int]) -> Iterator[Row]:
    """Yield the rows, and print every minute how many there were."""
    start = due = time.monotonic()
    count = 0
    for number, row in enumerate(rows, 1):
        yield row
        if (now := time.monotonic()) >= due + _REPORT_SECONDS:
            due, count = now, count or total()
            rate = number / (now - start)
            left = max(0, count - number) / rate / 60
            warn(f"{number:,} of {plural(count, 'image')}, {rate:.0f} a second, {left:.0f} minutes left")


def _report(counts: Counter[str], ignored: Counter[str], min_confidence: float, *, is_resumable: bool) -> None:
    """Print what was not captioned or written, and why."""
    if ignored:
        warn(_describe_ignored(ignored))
    if kept := counts["kept"]:
        is_repeated = counts["images"] > 1 and not is_resumable
        hint = "; with --output FILE.db, the next run captions only new images" if is_repeated else ""
        warn(f"{plural(kept, 'existing file')} kept; use --overwrite to replace{hint}")
    if left_out := counts["left out"]:
        warn(f"{plural(left_out, 'caption')} left out: their confidence is below {min_confidence:g}")
    if counts["failed"]:
        report_failures(counts["failed"], counts["images"])


def _check_paths(paths: Sequence[str], find: FindImages, output: Path | None, *, overwrite: bool) -> bool:
    """Raise a usage error if the paths cannot be captioned; return whether they are several images."""
    if "" in paths:
        raise click.UsageError("a path is empty; use . for the current folder")
    if url := next((path for path in paths if path.startswith(("http://", "https://"))), None):
        raise click.UsageError(f"looksay downloads no images: curl -s {url} | looksay -")
    if paths.count(STDIN) > 1:
        raise click.UsageError("- stands for one image on standard input; it can be named once")
    ignored = Counter[str]()
    first = list(islice(find(ignored), 2))
    if not first:
        note = f"; {_describe_ignored(ignored)}" if ignored else ""
        extensions = ", ".join(sorted(image_files.extensions()))
        raise click.UsageError(f"no images in {', '.join(paths)}; searched for {extensions}{note}")
    if output:
        # An existing file in a folder that is no output of looksay is refused later, unless it is to be overwritten.
        candidates: Iterable[Path] = find() if overwrite and output.exists() else map(Path, paths)
        if any(_is_same(path, output) for path in candidates):
            raise click.UsageError(f"--output {output} is one of the images; name another file")
    return len(first) > 1


def _is_same(path: Path, output: Path) -> bool:
    try:
        return path.samefile(output)
    except (OSError, ValueError):  # one of them does not exist
        return path == output


def _resume(
    writer: CaptionWriter, known: DiskSet, find: FindImages, sidecars: Sequence[SidecarWriter], options: JobOptions
) -> tuple[int, int]:
    """Add the images that the output already holds to `known`, after corrections, and write their sidecar files.

    Returns how many of these images failed, and of how many sidecar files could not be written.
    """
    unwritten = caption_sidecars.correct(writer, options.corrections, sidecars) if options.corrections else 0
    changed, again = (0, 0) if options.only_missing else folder_job.remove_changed(writer)
    if changed:
        kept = "; existing sidecar files are kept, and may describe the image before" if sidecars else ""
        warn(f"{plural(changed, 'image')} changed since {writer.file} was written{kept}")
    if again:
        warn(f"sidecar files of {plural(again, 'image')} could not be written in an earlier run; trying again")
    failed = 0
    for entry in writer.entries():
        known.add(entry.image)
        failed += entry.has_failed
    if known:
        note = "; --attention applies to the others" if options.attention_folder else ""
        warn(f"resuming {writer.file}: {plural(len(known), 'image')} done{note}")
    return failed, unwritten + caption_sidecars.write_missing(writer, find, sidecars, len(known))


def _write_all(
    rows: Iterable[Row], add: Callable[[Row], None], sidecars: Sequence[SidecarWriter], advice: str
) -> Counter[str]:
    """Write all rows and sidecar files; count images, failed images and existing files that were kept.

    `advice` ends the message after Ctrl-C.
    """
    counts = Counter[str]()
    try:
        for row in rows:
            counts["images"] += 1
            if isinstance(row.outcome, ImageError):
                errors = [str(row.outcome)]
                add(row)
                counts["left out"] += isinstance(row.outcome, LowConfidence)
            else:
                errors = caption_sidecars.write(Path(row.image), row.outcome[0], sidecars, counts)
                add(_rehashed(row, sidecars, errors))
            for error in errors:
                warn(error)
            counts["failed"] += bool(errors) and not isinstance(row.outcome, LowConfidence)
    except KeyboardInterrupt:
        counts["interrupted"] = 1
        warn(f"stopped after {plural(counts['images'], 'image')}{advice}")
    return counts


def _rehashed(row: Row, sidecars: Sequence[SidecarWriter], errors: Sequence[str]) -> Row:
    """Return a row with the sha256 that the next run shall find, if sidecar files were written.

    It is that of an image that its caption was written into, and none after an error, so that the image counts as
    changed and the sidecar file is tried again.
    """
    path = Path(row.image)
    if errors:
        return replace(row, sha256="")
    is_changed = row.sha256 and any(path in sidecar.files(path) for sidecar in sidecars)
    return replace(row, sha256=folder_job.file_digest(path)) if is_changed else row


@contextmanager
def _printer(options: JobOptions, has_several: bool) -> Iterator[Callable[[Row], None]]:
    """Yield a function that prints a row to standard output or to a new file, in UTF-8."""
    layout, output = options.layout, options.output
    if layout == "sqlite":
        raise click.UsageError("--format sqlite needs --output FILE")
    if output and output.is_file() and not options.overwrite:
        raise click.UsageError(f"{output} exists; --overwrite replaces it")

    def text_lines(image: str, outcome: Outcome) -> str:
        if isinstance(outcome, ImageError):
            return ""
        return as_text(image if has_several else "", outcome) + (_explanation(outcome[0]) if options.explain else "")

    layouts: dict[str, Callable[[str, Outcome], str]] = {"text": text_lines, "jsonl": json_line, "csv": csv_lines}
    with write_errors(output or "standard output"), ExitStack() as stack:
        file: IO[str] = sys.stdout
        if output:  # file names may be of any bytes
            file = stack.enter_context(output.open("w", encoding="utf-8", errors="surrogateescape", newline=""))
        if layout == "csv":
            click.echo(csv_line(*COLUMNS), file=file, nl=False)
        yield lambda row: click.echo(layouts[layout](row.image, row.outcome), file=file, nl=False)


def _describe_ignored(ignored: Counter[str]) -> str:
    """Return how many files look like images but were not read."""
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in ignored.most_common())
    hint = ' (pip install "looksay[heic]")' if image_files.HEIC_EXTENSIONS & ignored.keys() else ""
    files = "file that looks like an image was" if ignored.total() == 1 else "files that look like images were"
    return f"{ignored.total():,} {files} not read: {kinds}{hint}"


def _explanation(caption: Caption) -> str:
    """Return the confidence and the tags of a caption, one a line."""
    notes = {True: "", False: "  (not in the caption)"}
    lines = (f"  {tag.probability:4.0%}  {tag.name}{notes[tag.in_caption]}\n" for tag in caption.tags)
    trust = "" if caption.confidence is None else f"  confidence {caption.confidence:.0%}\n"
    return trust + ("".join(lines) or "  no object detected with confidence\n")
