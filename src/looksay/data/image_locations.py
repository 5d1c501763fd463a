"""Search for the image files of a data set, whose names in caption files are rarely whole paths."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path, PurePosixPath

from looksay.data.records import number_of
from looksay.image_files import EXTENSIONS

_MAX_DEPTH = 5  # of folders below that of the data set

_CAPTION_FOLDER = re.compile(r"(.*[_-])?(annotations?|captions?|labels?|metadata|text(_?data)?)", re.IGNORECASE)

is_file = os.path.isfile  # unlike Path.is_file, False for names that no file can have


def locate(folder: Path, names: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Return the path of each image, and the names for which several files are equally likely.

    The path is that of the name, or of a file of the same name below the folder.

    If there is none, other cases, ``.jpeg`` for ``.jpg``, names without an ending, and numbers without the zeros and
    the prefix of COCO's files are tried. A file that is not in the folders of the name is taken only if no other image
    has that name. Of several files, that in the folder with most images is taken. An image without a file keeps the
    path of its name.
    """
    paths = {name: folder / name for name in names}
    missing = [name for name, path in paths.items() if not is_file(path)]
    ambiguous: list[str] = []
    if not missing:
        return paths, ambiguous
    files: dict[str, list[Path]] = defaultdict(list)
    folder_sizes = Counter[Path]()
    for file in _walk(folder):
        folder_sizes[file.parent] += 1
        for key in {file.name, *_keys(file.name), *_keys(file.stem)}:
            files[key].append(file)
    uses = Counter(PurePosixPath(name).name for name in paths)
    taken = set(paths.values())
    for name in sorted(missing, key=lambda name: PurePosixPath(name).name not in files):  # the very names first
        *parents, base = PurePosixPath(name).parts
        ends = {file: _common_end(file.parent.parts, parents) for key in (base, *_keys(base)) for file in files[key]}
        fits = [file for file, end in ends.items() if file not in taken and (uses[base] == 1 or end == len(parents))]
        if fits:
            paths[name] = best = max(fits, key=lambda file: (file.name == base, ends[file], folder_sizes[file.parent]))
            taken.add(best)
            if sum(file.name == best.name and ends[file] == ends[best] for file in fits) > 1:
                ambiguous.append(name)
    return paths, ambiguous


def root_of(folder: Path) -> Path:
    """Return the folder of a data set whose captions are in `folder`: its parent for ``annotations`` without images."""
    is_beside = _CAPTION_FOLDER.fullmatch(folder.absolute().name) and next(iter(_walk(folder)), None) is None
    return folder.absolute().parent if is_beside else folder


def _walk(root: Path) -> Iterable[Path]:
    """Yield the images below a folder, also in linked folders."""
    for folder, folders, names in os.walk(root, followlinks=True):
        depth = len(Path(folder).parts) - len(root.parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and depth < _MAX_DEPTH)
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix.lower() in EXTENSIONS)


def _keys(name: str) -> set[str]:
    """Return the keys by which a name and that of a file are compared."""
    return {re.sub(r"\.(jpeg|jpe|jfif)$", ".jpg", name.lower()), f"#{number_of(name)}"} - {"#"}


def _common_end(parts: tuple[str, ...], others: list[str]) -> int:
    pairs = zip(reversed(parts), reversed(others), strict=False)
    return len(list(takewhile(lambda pair: pair[0].lower() == pair[1].lower(), pairs)))
