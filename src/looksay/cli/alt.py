"""``looksay alt``: alt text for the images of HTML and Markdown files."""

from __future__ import annotations

import difflib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import click

from looksay.alt_text.pages import HTML, MARKDOWN, MissingAlt, image_file, missing_alts, with_alts
from looksay.atomic_files import rewrite
from looksay.cli.caption_io import plural, warn, write_errors
from looksay.cli.options import model_option
from looksay.errors import ImageError

_NO_NEWLINE = "\\ No newline at end of file"  # as in a patch


@dataclass
class _Page:
    path: Path
    text: str
    missing: list[MissingAlt]
    images: list[tuple[MissingAlt, Path]] = field(default_factory=list)  # those that have a file


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATHS...")
@click.option("--check", is_flag=True, help="Report the images without alt text, and exit with 1 if there are any.")
@click.option("--dry-run", is_flag=True, help="Print the changes as a diff, and change nothing.")
@click.option("--empty", is_flag=True, help='Fill alt="" in HTML too, which says that an image is decorative.')
@click.option(
    "--mark/--no-mark", default=True, show_default=True,
    help="Mark alt text in HTML as machine-made, with data-alt-source.",
)  # fmt: skip
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False, path_type=Path), show_default="the first folder of PATHS",
    help="Folder where URLs with a leading slash start.",
)  # fmt: skip
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="Leave images out whose caption has a lower confidence.",
)  # fmt: skip
@model_option
def alt(
    paths: Sequence[Path], check: bool, dry_run: bool, empty: bool, mark: bool, root: Path | None,
    min_confidence: float, models: Sequence[str],
) -> None:  # fmt: skip
    """Write alt text for the images of HTML and Markdown files that have none.

    PATHS are files, and folders whose pages are all read. Nothing else in a page changes. Decorative images are left
    alone: those with alt="" in HTML, and those that are hidden.

    \b
    looksay alt site/ --dry-run
    looksay alt site/ --min-confidence 0.5
    looksay alt README.md docs/ --check
    """
    pages = list(_read(paths, empty))
    if not pages:
        raise click.UsageError(f"no readable HTML or Markdown file in {', '.join(map(str, paths))}")
    if check:
        _report(pages)
    _find_images(pages, root or next((path for path in paths if path.is_dir()), Path()))
    count = sum(len(page.missing) for page in pages)
    files = [file for page in pages for _, file in page.images]
    captions = _captions(files, models, min_confidence) if files else {}
    written = changed = 0
    for page in pages:
        alts = [(image, captions[file]) for image, file in page.images if captions.get(file)]
        if not alts:
            continue
        written, changed = written + len(alts), changed + 1
        text = with_alts(page.text, alts, mark=mark)
        if dry_run:
            lines = (page.text.splitlines(keepends=True), text.splitlines(keepends=True))
            diff = difflib.unified_diff(*lines, f"a/{page.path}", f"b/{page.path}")
            click.echo("".join(line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}\n" for line in diff), nl=False)
            continue
        for image, alt_text in alts:
            click.echo(f"{page.path}:{image.line}: {image.source}: {alt_text}")
        with write_errors(page.path):
            rewrite(page.path, text.encode("utf-8"))
    verb = "would be written" if dry_run else "written"
    warn(f"{plural(written, 'alt text')} {verb} into {plural(changed, 'page')}; {count - written:,} left out")


def _report(pages: Sequence[_Page]) -> NoReturn:
    """Print the images without alt text, and exit with 1 if there are any."""
    count = sum(len(page.missing) for page in pages)
    for page in pages:
        for image in page.missing:
            click.echo(f"{page.path}:{image.line}: {image.source[:80]} has no alt text")
    warn(f"{plural(count, 'image')} without alt text")
    sys.exit(1 if count else 0)


def _read(paths: Sequence[Path], empty: bool) -> Iterator[_Page]:
    """Yield the pages; report those that cannot be read."""
    for path in dict.fromkeys(page for start in paths for page in _pages(start)):
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            warn(f"{path}: left out, it is not UTF-8")
        except OSError as error:
            warn(f"{path}: left out: {error.strerror}")
        else:
            yield _Page(path, text, missing_alts(text, path.suffix, empty=empty))


def _find_images(pages: Sequence[_Page], root: Path) -> None:
    """Find the files of images; report images that have none."""
    for page in pages:
        for image in page.missing:
            file = image_file(image.source, page.path, root)
            if file is None:
                warn(f"{page.path}:{image.line}: {image.source[:80]}: left out, it is not a file of this site")
            elif not os.path.isfile(file):  # noqa: PTH113 (False for names that no file can have)
                warn(f"{page.path}:{image.line}: {image.source}: left out, there is no {file}")
            else:
                page.images.append((image, file))


def _pages(path: Path) -> Iterator[Path]:
    """Yield the pages of a file or folder; hidden files and folders, and node_modules, are skipped."""
    if path.is_file():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        for name in sorted(files):
            if name.lower().endswith((*HTML, *MARKDOWN)) and not name.startswith("."):
                yield Path(folder, name)


def _captions(files: Sequence[Path], models: Sequence[str], min_confidence: float) -> dict[Path, str]:
    """Caption each image once, also if several files have its content; report images that are left out."""
    from looksay.captioner import load
    from looksay.data.memmap_store import progress
    from looksay.jobs.folder_job import file_digest

    hashes = {file: file_digest(file) or str(file) for file in dict.fromkeys(files)}
    first = {digest: file for file, digest in reversed(hashes.items())}
    captioner = load(*models)
    outcomes = captioner.captions(first.values(), min_confidence=min_confidence)
    with progress(outcomes, len(first), "captioning") as outcomes:
        captions = dict(zip(first, outcomes, strict=True))
    reasons = Counter(str(outcome) for outcome in captions.values() if isinstance(outcome, ImageError))
    for reason in reasons:
        warn(reason)
    return {
        file: text[:1].upper() + text[1:]
        for file, digest in hashes.items()
        if not isinstance(outcome := captions[digest], ImageError) and (text := str(outcome))
    }
