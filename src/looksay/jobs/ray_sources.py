"""Images wherever a cluster keeps them, in blocks: folders, Parquet files and WebDataset tars, on disk or a bucket.

A block is captioned by one process and becomes one file, so it is the smallest thing that is done or not done.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow.parquet
from pyarrow import fs

from looksay.errors import JobError
from looksay.images import EXTENSIONS

BLOCK = 512
"""Images of a folder that make a block; a Parquet file's row group or a tar is one as it is."""

_COLUMNS = ("image", "jpg", "jpeg", "png", "webp", "bytes", "content")
_NAMES = ("path", "key", "__key__", "file_name", "filename", "name", "id", "url")


class Image(NamedTuple):
    """What an image is called, and its file."""

    name: str
    data: bytes | Exception


@dataclass(frozen=True)
class Block:
    """Some images, in the order in which they stand in their source.

    Attributes
    ----------
    name : str
        Sorts like the blocks themselves.
    kind : {"files", "parquet", "tar"}
    source : str
        The path or URI that was named; it tells the file system.
    paths : tuple of str
        Of the images there, or of the one file that has them.
    group : int
        The row group of a Parquet file.
    """

    name: str
    kind: str
    source: str
    paths: tuple[str, ...]
    group: int = 0

    def images(self) -> Iterator[Image]:
        """Yield the images; one that cannot be read comes with the error.

        Raises
        ------
        tarfile.TarError, pyarrow.ArrowInvalid, JobError
            If a Parquet file or a tar is broken.
        OSError
            If it cannot be read.
        """
        return {"files": _files, "parquet": _rows, "tar": _members}[self.kind](self)

    def called(self, path: str) -> str:
        """Return the path or URI of one of the paths."""
        return self.source.partition("://")[0] + "://" + path if "://" in self.source else path

    def open(self, path: str) -> Any:
        """Open one of the paths."""
        return at(self.source)[0].open_input_file(path)


def blocks(sources: Sequence[str], without: str = "") -> Iterator[Block]:
    """Yield the blocks of folders, Parquet files and tars.

    Parameters
    ----------
    sources : sequence of str
        Paths or URIs (``s3://bucket/folder/``): folders, in which Parquet files and tars are found too, or files.
    without : str
        A folder that is left out, by its path or URI.

    Raises
    ------
    JobError
        If there is no such source.
    """
    number = 0
    for source in sources:
        loose: list[str] = []
        for path in _found(source, without):
            ending = PurePosixPath(path).suffix.lower()
            found: list[Block] = []
            if ending in EXTENSIONS:
                loose.append(path)
                if len(loose) == BLOCK:
                    found, loose = [_block(number, "files", source, loose)], []
            elif ending == ".parquet":
                with at(source)[0].open_input_file(path) as file:
                    groups = pyarrow.parquet.ParquetFile(file).num_row_groups
                found = [_block(number + group, "parquet", source, [path], group) for group in range(groups)]
            elif ending == ".tar":
                found = [_block(number, "tar", source, [path])]
            number += len(found)
            yield from found
        if loose:
            yield _block(number, "files", source, loose)
            number += 1


def _block(number: int, kind: str, source: str, paths: list[str], group: int = 0) -> Block:
    """Name a block by its number and by what is in it: if a folder has changed, its blocks have other names."""
    inside = hashlib.sha256(json.dumps([paths, group]).encode()).hexdigest()
    return Block(f"{number:07}-{inside[:8]}", kind, source, tuple(paths), group)


def at(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path there."""
    if "://" in uri:
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri)
        return found
    return fs.LocalFileSystem(), uri


def _found(source: str, without: str) -> list[str]:
    """Return the paths of all files of a source, sorted; hidden ones are what other programs put there."""
    try:
        system, path = at(source)
        about = system.get_file_info(path)
        if about.type == fs.FileType.NotFound:
            raise JobError(f"there is no {source}")
        if about.is_file:
            return [path]
        left_out = at(without)[1].rstrip("/") + "/" if without else "\n"
        below = [file.path for file in system.get_file_info(fs.FileSelector(path, recursive=True)) if file.is_file]
        shown = (file for file in below if not PurePosixPath(file).name.startswith("."))
        return sorted(file for file in shown if not file.startswith(left_out))
    except (OSError, ValueError) as error:
        raise JobError(f"{source} cannot be read: {error}") from error


def _files(block: Block) -> Iterator[Image]:
    for path in block.paths:
        try:
            yield Image(block.called(path), _read(block, path))
        except OSError as error:
            yield Image(block.called(path), error)


def _read(block: Block, path: str) -> bytes:
    """Read a file; what may pass is tried again."""
    for wait in (1, 5, None):
        try:
            with block.open(path) as file:
                data: bytes = file.read()
                return data
        except (FileNotFoundError, PermissionError):
            raise
        except OSError:
            if wait is None:
                raise
            time.sleep(wait)
    raise AssertionError("not reached")


def _members(block: Block) -> Iterator[Image]:
    (path,) = block.paths
    with block.open(path) as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            if member.isfile() and PurePosixPath(member.name).suffix.lower() in EXTENSIONS:
                data = tar.extractfile(member)
                yield Image(f"{block.called(path)}/{member.name}", data.read() if data else b"")


def _rows(block: Block) -> Iterator[Image]:
    """Yield rows: bytes in a column of their own, or within a struct as Hugging Face's data sets have it."""
    (path,) = block.paths
    uri = block.called(path)
    with block.open(path) as file:
        parquet = pyarrow.parquet.ParquetFile(file)
        columns = parquet.schema_arrow.names
        column = next((name for name in _COLUMNS if name in columns), None)
        if column is None:
            raise JobError(f"{uri} has no column of images ({', '.join(_COLUMNS)}); it has {', '.join(columns)}")
        named = next((name for name in _NAMES if name in columns), None)
        table = parquet.read_row_group(block.group, columns=[column, *([named] if named else [])])
        for number, row in enumerate(_as_rows(table)):
            image = row[column]
            inner = image if isinstance(image, dict) else {"bytes": image}
            name = row[named] if named else inner.get("path") or f"{uri}#{block.group}-{number}"
            data = inner.get("bytes")
            yield Image(str(name), data if isinstance(data, bytes) else ValueError("the row has no bytes"))


def _as_rows(table: Any) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=64):  # so that not all images of a group are Python's at once
        yield from batch.to_pylist()
