"""Blocks of images for a cluster: from folders, Parquet files and WebDataset tars, local or in a bucket.

A block is the unit of work: one process captions it and writes one file.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pyarrow import ArrowInvalid, fs
from pyarrow.parquet import ParquetFile

from looksay.errors import JobError
from looksay.image_files import EXTENSIONS

BLOCK = 512
"""Images of a folder in a block; a row group of a Parquet file or a tar is always one block."""

_IMAGE_COLUMNS = ("image", "jpg", "jpeg", "png", "webp", "bytes", "content")
_NAME_COLUMNS = ("path", "key", "__key__", "file_name", "filename", "name", "id", "url")
_PARQUET_BATCH = 64  # rows of a group in memory


class Image(NamedTuple):
    """The name of an image, and the content of its file or the error of reading it."""

    name: str
    data: bytes | Exception


class Block(NamedTuple):
    """Images of one source, in their order there."""

    name: str  # number of the block and a hash of its paths
    source: str  # the path or URI that the user named, which determines the file system
    paths: Sequence[str]  # in that file system: of images, or of a single Parquet file (.parquet) or tar (.tar)
    row_group: int = 0

    def images(self) -> Iterator[Image]:
        """Yield the images; one that cannot be read has an error in place of its content.

        A broken Parquet file or tar ends with an error under its own name. Raises `OSError` if it cannot be read.
        """
        name = self._uri(self.paths[0])
        readers = {".parquet": self._parquet_rows, ".tar": self._tar_members}
        try:
            yield from readers.get(_suffix(self.paths[0]), self._files)()
        except (tarfile.TarError, ArrowInvalid, JobError) as error:
            yield Image(name, ValueError(str(error)))

    def _uri(self, path: str) -> str:
        """Return a path of the block as a URI if the source is one."""
        scheme, separator, _ = self.source.rpartition("://")
        return f"{scheme}{separator}{path}"

    def _open(self, path: str) -> Any:
        return resolve(self.source)[0].open_input_file(path)

    def _files(self) -> Iterator[Image]:
        for path in self.paths:
            try:
                yield Image(self._uri(path), self._read(path))
            except OSError as error:
                yield Image(self._uri(path), error)

    def _read(self, path: str, waits: Sequence[int] = (1, 5)) -> bytes:
        """Read a file; try again after errors that may be temporary."""
        try:
            with self._open(path) as file:
                return bytes(file.read())
        except OSError as error:
            if not waits or isinstance(error, FileNotFoundError | PermissionError):
                raise
            time.sleep(waits[0])
        return self._read(path, waits[1:])

    def _tar_members(self) -> Iterator[Image]:
        with self._open(self.paths[0]) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                if member.isfile() and _suffix(member.name) in EXTENSIONS:
                    data = tar.extractfile(member)
                    yield Image(f"{self._uri(self.paths[0])}/{member.name}", data.read() if data else b"")

    def _parquet_rows(self) -> Iterator[Image]:
        """Yield rows, with bytes in a column or in a struct ``{"bytes", "path"}`` as in Hugging Face's data sets."""
        with self._open(self.paths[0]) as file:
            parquet = ParquetFile(file)
            columns = parquet.schema_arrow.names
            column = next((name for name in _IMAGE_COLUMNS if name in columns), None)
            if column is None:
                raise JobError(f"has no column of images ({', '.join(_IMAGE_COLUMNS)}); it has {', '.join(columns)}")
            names = [name for name in _NAME_COLUMNS if name in columns][:1]
            batches = parquet.iter_batches(_PARQUET_BATCH, row_groups=[self.row_group], columns=[column, *names])
            for number, row in enumerate(chain.from_iterable(batch.to_pylist() for batch in batches)):
                image = row[column] if isinstance(row[column], dict) else {"bytes": row[column]}
                path = image.get("path") or f"{self._uri(self.paths[0])}#{self.row_group}-{number}"
                data = image.get("bytes")
                yield Image(
                    str(row[names[0]] if names else path),
                    data if isinstance(data, bytes) else ValueError("the row has no bytes"),
                )


def blocks(sources: Sequence[str], exclude: str = "") -> Iterator[Block]:
    """Yield the blocks of folders, Parquet files and tars, but not those of the folder `exclude`.

    Sources are paths or URIs (``s3://bucket/folder/``) of files, or of folders that may hold Parquet files and tars,
    too. The name of a block depends on its paths, so that the blocks of a folder that has changed have other names.
    Raises `JobError` if a source does not exist or cannot be listed.
    """
    parts = ((source, *part) for source in sources for part in _parts(source, exclude))
    for number, (source, paths, row_group) in enumerate(parts):
        digest = hashlib.sha256(json.dumps([paths, row_group]).encode()).hexdigest()
        yield Block(f"{number:07}-{digest[:8]}", source, paths, row_group)


def _parts(source: str, exclude: str) -> Iterator[tuple[list[str], int]]:
    """Yield paths and row group of each block of a source."""
    images: list[str] = []
    for path in _list_files(source, exclude):
        suffix = _suffix(path)
        if suffix in EXTENSIONS:
            images.append(path)
            if len(images) == BLOCK:
                yield images, 0
                images = []
        elif suffix == ".parquet":
            with resolve(source)[0].open_input_file(path) as file:
                try:
                    count = ParquetFile(file).num_row_groups
                except ArrowInvalid:
                    count = 1  # its block holds the error
            yield from (([path], row_group) for row_group in range(count))
        elif suffix == ".tar":
            yield [path], 0
    if images:
        yield images, 0


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it."""
    return fs.FileSystem.from_uri(uri) if "://" in uri else (fs.LocalFileSystem(), uri)


def _list_files(source: str, exclude: str) -> list[str]:
    """Return the sorted paths of all files of a source, except hidden ones."""
    try:
        system, path = resolve(source)
        info = system.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            raise JobError(f"there is no {source}")
        if info.is_file:
            return [path]
        excluded = resolve(exclude)[1].rstrip("/") + "/" if exclude else "\n"
        files = [entry for entry in system.get_file_info(fs.FileSelector(path, recursive=True)) if entry.is_file]
    except (OSError, ValueError) as error:
        raise JobError(f"{source} cannot be read: {error}") from error
    return sorted(
        file.path for file in files if not file.base_name.startswith(".") and not file.path.startswith(excluded)
    )
