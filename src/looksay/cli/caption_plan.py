"""What ``looksay caption`` is to write for its images: the options of a job, and what ``--dry-run`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from looksay.captioner import Captioner
from looksay.cli.caption_io import plural, warn
from looksay.errors import ImageError
from looksay.jobs import folder_job
from looksay.jobs.disk_set import DiskSet
from looksay.jobs.sidecar_writers import SidecarWriter
from looksay.jobs.writers import Provenance


@dataclass(frozen=True)
class JobOptions:
    """What `looksay caption` writes for its images; see its options."""

    layout: str
    output: Path | None
    is_resumable: bool
    write: Sequence[str]
    keywords: bool
    overwrite: bool
    only_missing: bool
    attention_folder: Path | None
    explain: bool
    review: Path | None
    corrections: Path | None
    dry_run: bool

    def check(self, captioner: Captioner) -> None:
        """Raise a usage error if the options do not fit each other or the model."""
        model, bundle = captioner.bundle.spec.name, captioner.bundle
        is_done = self.is_resumable and self.output and self.output.exists() and not self.overwrite
        tagged = "--explain" if self.explain else "--keywords" if self.keywords else ""
        errors = {
            "--explain prints to the screen: leave out --output and --format": (
                self.explain and (self.output or self.layout != "text")
            ),
            "--only-missing needs --output FILE, as JSONL, CSV or SQLite": self.only_missing and not self.is_resumable,
            "--review needs --output FILE, as JSONL, CSV or SQLite": self.review and not self.is_resumable,
            "--corrections needs the --output of a finished job, without --overwrite": self.corrections and not is_done,
            f"{tagged}: {model} does not recognise objects; it has no tags.json": tagged and not bundle.tags,
            f"--attention: {model} has no attention; of several models the first one is drawn": (
                self.attention_folder and bundle.spec.grid == (1, 1)
            ),
        }
        for error, applies in errors.items():
            if applies:
                raise click.UsageError(error)


def print_plan(
    images: Iterable[Path], sidecars: Sequence[SidecarWriter], options: JobOptions, provenance: Provenance
) -> None:
    """Print what would be captioned and written."""
    file, done, changed = options.output, DiskSet(), DiskSet()
    name: Callable[[str], str] = str
    if file and options.is_resumable and file.exists() and not options.overwrite:
        writer = folder_job.WRITERS[options.layout](file, provenance, read_only=True)
        name = writer.name
        for entry in writer.entries():
            if options.only_missing or not folder_job.has_changed(file.parent, entry):
                done.add(entry.image)
            else:
                changed.add(entry.image)
        writer.close()
    counts = Counter[str]()
    for image in images:
        counts["done" if name(str(image)) in done else "captioned"] += 1
        for sidecar in sidecars:
            try:
                counts["kept" if sidecar.keeps(image) else "written"] += 1
            except (ImageError, OSError) as error:
                warn(error)
    notes = [
        f"would caption {plural(counts['captioned'], 'image')}",
        f"{len(changed):,} of them again" if changed else "",
        f"{counts['done']:,} are in {file}" if counts["done"] else "",
    ]
    warn("; ".join(filter(None, notes)))
    if sidecars:
        warn(f"would write beside or into {plural(counts['written'], 'image')}, and keep what {counts['kept']:,} have")
    if file:
        warn(f"would write {file}" + (", replacing it" if file.exists() and options.overwrite else ""))
