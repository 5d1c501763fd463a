"""The image files of folders and globs."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .jif .mpo .png .apng .webp .avif .gif .bmp .dib .tif .tiff .jp2 .j2k .ppm .pgm .pbm "
    ".pnm".split()
)
OTHER_EXTENSIONS = frozenset(
    ".jxl .svg .psd .ico .tga .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw .exr .hdr .xcf .eps".split()
)
"""Files with these endings look like images, but are in no format that is read."""

HEIC_EXTENSIONS = frozenset((".heic", ".heif", ".hif"))
"""Read with the extra ``looksay[heic]``."""


@functools.cache
def extensions() -> frozenset[str]:
    """Return the endings of the files that are read in folders."""
    return EXTENSIONS | HEIC_EXTENSIONS if importlib.util.find_spec("pillow_heif") else EXTENSIONS


def find(paths: Sequence[str], without: Path | None = None, ignored: Counter[str] | None = None) -> Iterator[Path]:
    """Expand files, folders (all images below them, sorted) and globs into paths of images.

    Folders are walked lazily, in constant memory. Hidden files and folders below them are skipped. A path that does
    not exist, or a folder that cannot be listed, is kept, so that reading it reports the error. The folder `without` is
    skipped. Files in folders that look like images and are not read are counted in `ignored`, by their endings.
    """
    skipped = without.resolve() if without else None
    counts = Counter[str]() if ignored is None else ignored
    for text in paths:
        path = Path(text)
        try:
            matches = _matches(path)
        except (OSError, ValueError):  # no permission, a name that is too long, an invalid glob
            matches = [path]
        for match in matches:
            yield from _walk(match, skipped, counts) if os.path.isdir(match) else [match]  # noqa: PTH112 (see _walk)


def _matches(path: Path) -> list[Path]:
    if path.exists() or not any(character in str(path) for character in "*?["):
        return [path]
    return sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor)))) or [path]


def _walk(folder: Path, without: Path | None, ignored: Counter[str]) -> Iterator[Path]:
    """Yield the images below a folder, and folders that cannot be listed; links to folders are not followed."""
    try:
        with os.scandir(folder) as entries:  # names alone: a folder may hold a million
            names = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if not entry.name.startswith(".")
            )
    except OSError:
        yield folder  # reading it reports why it cannot be listed
        return
    for name, is_folder in names:
        path = folder / name
        suffix = path.suffix.lower()
        if is_folder:
            if without is None or path.resolve() != without:
                yield from _walk(path, without, ignored)
        elif suffix in extensions():
            if _may_be_read(path):
                yield path
        elif suffix in OTHER_EXTENSIONS or suffix in HEIC_EXTENSIONS:
            ignored[suffix] += 1


def _may_be_read(path: Path) -> bool:
    """Return whether a path is a file or cannot be examined; reading it then reports why: a broken link, no permission.

    Devices and pipes are not read.
    """
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113 (Path's raise without permission)
