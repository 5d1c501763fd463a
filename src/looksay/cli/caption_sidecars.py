"""Sidecar files and metadata of captioned images: which are written, those of a finished job, and corrections."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from looksay.cli.caption_io import STDIN, plural, warn, write_errors
from looksay.data.memmap_store import progress
from looksay.errors import ImageError
from looksay.jobs import folder_job, review_page, sidecar_writers
from looksay.jobs.disk_set import DiskSet
from looksay.jobs.sidecar_writers import SidecarWriter
from looksay.jobs.writers import CaptionWriter, Entry, escaped
from looksay.types import Caption, Tag

FindImages = Callable[..., Iterator[Path]]
"""Walks the paths, and counts in its argument the files that look like images but are not read, by their suffix."""


def writers(
    paths: Sequence[str], find: FindImages, write: Sequence[str], attention_folder: Path | None, *, keywords: bool,
    overwrite: bool,
) -> list[SidecarWriter]:  # fmt: skip
    """Return the writers of what is written for each image; raise an error if one would overwrite an image."""
    made: list[SidecarWriter] = []
    if attention_folder:
        made.append(sidecar_writers.AttentionWriter(overwrite, attention_folder))
    if "txt" in write:
        made.append(sidecar_writers.TextWriter(overwrite))
    if keywords or "xmp" in write:
        made.append(sidecar_writers.MetadataWriter(overwrite, captions="xmp" in write, keywords=keywords))
    if made and STDIN in paths:
        option = "--attention" if attention_folder else "--write" if write else "--keywords"
        raise click.UsageError(f"{option} needs a file name; an image on standard input has none")
    sidecar_writers.check(made, find)
    return made


def make_folder(attention_folder: Path | None) -> None:
    """Create the folder of attention maps, if there is to be one."""
    if attention_folder:
        with write_errors(attention_folder):
            attention_folder.mkdir(parents=True, exist_ok=True)


def write(image: Path, caption: Caption, sidecars: Sequence[SidecarWriter], counts: Counter[str]) -> list[str]:
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


def write_missing(writer: CaptionWriter, find: FindImages, sidecars: Sequence[SidecarWriter], count: int) -> int:
    """Write the captions of the `count` images in the output to sidecar files that do not exist.

    Returns how many images failed. Attention maps are left out: they need the model.
    """
    if not count or not _without_model(sidecars):
        return 0
    named = DiskSet(writer.name(str(path)) for path in find())
    with progress(writer.entries(), count, "writing sidecar files") as entries:
        return _write_entries(writer, (entry for entry in entries if entry.image in named), _without_model(sidecars))


def correct(writer: CaptionWriter, file: Path, sidecars: Sequence[SidecarWriter]) -> int:
    """Replace captions in the output and in sidecar files by those in a file; return how many images failed."""
    corrections = review_page.read_corrections(file)
    known = {entry.image: name for entry in writer.entries() if (name := escaped(entry.image)) in corrections}
    if unknown := [name for name in corrections if name not in known.values()]:
        warn(f"{file} corrects {plural(len(unknown), 'image')} that {writer.file} does not hold: {unknown[0]}")
    writer.correct({image: corrections[name] for image, name in known.items()})
    warn(f"{plural(len(known), 'caption')} in {writer.file} corrected")
    overwriting = [replace(sidecar, overwrite=True) for sidecar in _without_model(sidecars)]
    return _write_entries(writer, (entry for entry in writer.entries() if entry.image in known), overwriting)


def _without_model(sidecars: Sequence[SidecarWriter]) -> list[SidecarWriter]:
    return [sidecar for sidecar in sidecars if not isinstance(sidecar, sidecar_writers.AttentionWriter)]


def _write_entries(writer: CaptionWriter, entries: Iterable[Entry], sidecars: Sequence[SidecarWriter]) -> int:
    """Write the captions of rows to sidecar files; return how many images failed."""
    changed, counts = DiskSet(), Counter[str]()
    try:
        for entry in entries:
            image, before = writer.file.parent / entry.image, counts["written"]
            if not entry.caption or not os.path.isfile(image):  # noqa: PTH113 (any name)
                continue
            errors = write(image, _from_entry(entry), sidecars, counts)
            for error in errors:
                warn(error)
            counts["failed"] += bool(errors)
            counts["images"] += counts["written"] > before
            if counts["written"] > before and any(image in sidecar.files(image) for sidecar in sidecars):
                changed.add(entry.image)
    finally:
        if changed:
            writer.rehash(changed, folder_job.file_digest)
    if counts["images"]:
        warn(f"captions of {plural(counts['images'], 'image')} in {writer.file} written to sidecar files")
    return counts["failed"]


def _from_entry(entry: Entry) -> Caption:
    """Return the caption of a row, with its keywords."""
    return Caption(entry.caption, (), 0.0, tags=tuple(Tag(word, 1.0, in_caption=False) for word in entry.keywords))
