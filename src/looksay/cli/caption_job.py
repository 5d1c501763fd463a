"""``looksay caption`` for folders, files and sidecar files: from the paths to the exit code."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any

import click

from looksay import image_files
from looksay.captioner import load
from looksay.cli.caption_io import STDIN, as_text, open_source, plural, report_failures, warn, write_errors
from looksay.data.memmap_store import progress
from looksay.decoding.options import Overrides
from looksay.errors import ImageError, LowConfidence
from looksay.jobs import folder_job, sidecar_writers
from looksay.jobs.disk_set import DiskSet
from looksay.jobs.sidecar_writers import SidecarWriter
from looksay.jobs.text_writers import COLUMNS, csv_line, csv_lines, json_line
from looksay.jobs.writers import CaptionWriter, Entry, Outcome, Provenance, Row
from looksay.types import Caption, Device, Tag

FindImages = Callable[..., Iterator[Path]]
"""Walks the paths, and counts in its argument the files that look like images but are not read, by their suffix."""

_INTERRUPTED = 130  # the exit code that shells expect after Ctrl-C


def run(
    paths: Sequence[str], overrides: Overrides, *, models: Sequence[str], threads: int | None, device: Device,
    batch: int, layout: str | None, output: str | None, write: Sequence[str], keywords: bool, overwrite: bool,
    only_missing: bool, attention_folder: Path | None, explain: bool,
) -> None:  # fmt: skip
    """Caption images; the parameters are the options of the command."""
    file = Path(output) if output else None
    find = partial(image_files.find, paths, attention_folder)  # without the attention maps that this command draws
    has_several = _check_paths(paths, find, file, overwrite=overwrite)
    layout = layout or (folder_job.SUFFIXES.get(file.suffix.lower()) if file else None) or "text"
    if explain and (output or layout != "text"):
        raise click.UsageError("--explain prints to the screen: leave out --output and --format")
    captioner = load(*models, threads=threads, device=device)
    if (explain or keywords) and not captioner.bundle.tags:
        option = "--explain" if explain else "--keywords"
        raise click.UsageError(f"{option}: {models[0]} does not recognise objects; it has no tags.json")
    if attention_folder and captioner.bundle.spec.grid == (1, 1):
        raise click.UsageError(f"--attention: {models[0]} has no attention; of several models the first one is drawn")
    sidecars = _sidecar_writers(paths, find, write, attention_folder, keywords=keywords, overwrite=overwrite)
    ignored = Counter[str]()
    with ExitStack() as stack:
        add: Callable[[Row], None]
        writer, known, failed_before, unwritten = None, DiskSet(), 0, 0
        pending = find(ignored)
        # An image on standard input has no name by which a resumed job could recognise it.
        is_resumable = STDIN not in paths and file is not None and (file.is_file() or not file.exists())
        if file and is_resumable and layout in folder_job.WRITERS:
            provenance = Provenance.of(captioner, captioner.options(overrides.copy()))
            opened = folder_job.open_writer(file, layout, provenance, overwrite=overwrite)
            writer, is_locked = stack.enter_context(opened)
            if not is_locked:
                warn(f"{file} is on a file system without locks: let no other looksay write to it")
            failed_before = _resume(writer, known, only_missing=only_missing, has_attention=bool(attention_folder))
            unwritten = _write_missing_sidecars(writer, find, sidecars, len(known))
            add, name = writer.add, writer.name
            pending = (path for path in pending if known.add(name(str(path))))
        else:
            add = stack.enter_context(_printer(layout, file, has_several, overwrite=overwrite, explain=explain))
        done = len(known)
        rows = folder_job.caption_images(
            captioner, pending, batch=batch, attention=bool(attention_folder), hash_files=bool(writer),
            open_source=open_source, **overrides,
        )  # fmt: skip
        # Captions on a terminal show the progress themselves.
        is_hidden = not has_several or not sys.stderr.isatty() or (not output and sys.stdout.isatty())
        started = time.monotonic()
        bar: Any = click.progressbar(
            rows, length=0 if is_hidden else max(0, sum(1 for _ in find()) - done), label="captioning", show_pos=True,
            file=sys.stderr, hidden=is_hidden,
            item_show_func=lambda _: f"{bar.pos / max(time.monotonic() - started, 1e-3):.0f} images/s",
        )  # fmt: skip
        counts = _write_all(stack.enter_context(bar), add, sidecars, is_resumable=bool(writer))
    if ignored:
        warn(_describe_ignored(ignored))
    if kept := counts["kept"]:
        warn(f"{plural(kept, 'existing file')} kept; use --overwrite to replace")
    if left_out := counts["left out"]:
        warn(f"{plural(left_out, 'caption')} left out: their confidence is below {overrides['min_confidence']:g}")
    if counts["failed"]:
        report_failures(counts["failed"], counts["images"])
    if failed_before:
        warn(f"{plural(failed_before, 'image')} failed in an earlier run; see {output}")
    if failed_before or unwritten or counts["failed"] or counts["interrupted"]:
        sys.exit(_INTERRUPTED if counts["interrupted"] else 1)


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


def _sidecar_writers(
    paths: Sequence[str], find: FindImages, write: Sequence[str], attention_folder: Path | None, *, keywords: bool,
    overwrite: bool,
) -> list[SidecarWriter]:  # fmt: skip
    """Return the writers of what is written for each image; raise an error if one would overwrite an image."""
    writers: list[SidecarWriter] = []
    if attention_folder:
        try:
            attention_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"--attention {attention_folder} cannot be created: {error.strerror}") from error
        writers.append(sidecar_writers.AttentionWriter(overwrite, attention_folder))
    if "txt" in write:
        writers.append(sidecar_writers.TextWriter(overwrite))
    if keywords or "xmp" in write:
        writers.append(sidecar_writers.MetadataWriter(overwrite, captions="xmp" in write, keywords=keywords))
    if writers and STDIN in paths:
        option = "--attention" if attention_folder else "--write" if write else "--keywords"
        raise click.UsageError(f"{option} needs a file name; an image on standard input has none")
    sidecar_writers.check(writers, find)
    return writers


def _resume(writer: CaptionWriter, known: DiskSet, *, only_missing: bool, has_attention: bool) -> int:
    """Add the images that the output already holds to `known`; return how many of them failed."""
    changed, unwritten = (0, 0) if only_missing else folder_job.remove_changed(writer)
    if changed:
        warn(f"{plural(changed, 'image')} changed since {writer.file} was written")
    if unwritten:
        warn(f"sidecar files of {plural(unwritten, 'image')} could not be written in an earlier run; trying again")
    failed = 0
    for entry in writer.entries():
        known.add(entry.image)
        failed += entry.has_failed
    if known:
        note = "; --attention applies to the others" if has_attention else ""
        warn(f"resuming {writer.file}: {plural(len(known), 'image')} done{note}")
    return failed


def _write_missing_sidecars(
    writer: CaptionWriter, find: FindImages, sidecars: Sequence[SidecarWriter], count: int
) -> int:
    """Write the captions of the `count` images in the output to sidecar files that do not exist.

    Returns how many images failed. Attention maps are left out: they need the model.
    """
    sidecars = [sidecar for sidecar in sidecars if not isinstance(sidecar, sidecar_writers.AttentionWriter)]
    if not sidecars or not count:
        return 0
    named, changed, counts = DiskSet(writer.name(str(path)) for path in find()), DiskSet(), Counter[str]()
    try:
        with progress(writer.entries(), count, "writing sidecar files") as entries:
            for name, (entry, *_) in groupby(entries, lambda entry: entry.image):
                image, before = writer.file.parent / name, counts["written"]
                if not entry.caption or name not in named or not os.path.isfile(image):  # noqa: PTH113 (any name)
                    continue
                errors = _write_sidecars(image, _from_entry(entry), sidecars, counts)
                for error in errors:
                    warn(error)
                counts["failed"] += bool(errors)
                counts["images"] += counts["written"] > before
                if counts["written"] > before and any(image in sidecar.files(image) for sidecar in sidecars):
                    changed.add(name)
    finally:
        if changed:
            writer.rehash(changed, folder_job.file_digest)
    if counts["images"]:
        warn(f"captions of {plural(counts['images'], 'image')} in {writer.file} written to sidecar files")
    return counts["failed"]


def _from_entry(entry: Entry) -> Caption:
    """Return the caption of a row, with its keywords."""
    return Caption(entry.caption, (), 0.0, tags=tuple(Tag(word, 1.0, in_caption=False) for word in entry.keywords))


def _write_all(
    rows: Iterable[Row], add: Callable[[Row], None], sidecars: Sequence[SidecarWriter], *, is_resumable: bool
) -> Counter[str]:
    """Write all rows and sidecar files; count images, failed images and existing files that were kept."""
    counts = Counter[str]()
    try:
        for row in rows:
            counts["images"] += 1
            if isinstance(row.outcome, ImageError):
                errors = [str(row.outcome)]
                add(row)
                counts["left out"] += isinstance(row.outcome, LowConfidence)
            else:
                errors = _write_sidecars(Path(row.image), row.outcome[0], sidecars, counts)
                add(_rehashed(row, sidecars, errors))
            for error in errors:
                warn(error)
            counts["failed"] += bool(errors) and not isinstance(row.outcome, LowConfidence)
    except KeyboardInterrupt:
        counts["interrupted"] = 1
        advice = "; run the same command again to resume" if is_resumable else ""
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


def _write_sidecars(
    image: Path, caption: Caption, sidecars: Sequence[SidecarWriter], counts: Counter[str]
) -> list[str]:
    """Write the sidecar files of an image; return the error messages."""
    errors = []
    for sidecar in sidecars:
        try:
            counts["written" if sidecar.write(image, caption) else "kept"] += 1
        except ImageError as error:
            errors.append(str(error))
        except OSError as error:
            errors.append(f"{error.filename} cannot be written: {error.strerror}")
    return errors


@contextmanager
def _printer(
    layout: str, output: Path | None, has_several: bool, *, overwrite: bool, explain: bool
) -> Iterator[Callable[[Row], None]]:
    """Yield a function that prints a row to standard output or to a new file, in UTF-8."""
    if layout == "sqlite":
        raise click.UsageError("--format sqlite needs --output FILE")
    if output and output.is_file() and not overwrite:
        raise click.UsageError(f"{output} exists; --overwrite replaces it")

    def text_lines(image: str, outcome: Outcome) -> str:
        if isinstance(outcome, ImageError):
            return ""
        return as_text(image if has_several else "", outcome) + (_explanation(outcome[0]) if explain else "")

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
