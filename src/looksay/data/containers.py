"""Parquet files and WebDataset tars with images inside, unpacked once into image files and JSONL tables."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path, PurePosixPath
from typing import Any

from looksay.atomic_files import replacing
from looksay.data import text_files
from looksay.data.image_cache import default_folder
from looksay.data.memmap_store import progress, write_once
from looksay.errors import DataError, needs
from looksay.image_files import EXTENSIONS

_TEXTS = (".txt", ".text", ".caption")
_BATCH = 64  # rows of a Parquet file in memory

Row = tuple[str, dict[str, Any]]  # place in the file, values by column
_Packed = tuple[str, str, bytes | None, dict[str, Any]]  # place in the file, name of the image, image, texts by column


def unpack(files: Sequence[Path], folder: Path, cache: Path | None = None) -> dict[Path, Path]:
    """Unpack files to a folder in the cache; return the table of each file, which `read_table` reads.

    The folder's name is a hash of the files' paths, sizes and modification times; `folder` is that of the data set. A
    broken file is a `DataError`.
    """
    facts = [[str(file.absolute()), (status := file.stat()).st_size, status.st_mtime_ns] for file in files]
    target = (cache or default_folder()) / f"rows-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}"
    file_of = {target / f"{'-'.join(file.relative_to(folder).parts)}.jsonl": file for file in files}

    def write(tables: list[Path]) -> None:
        with progress(tables, len(tables), "unpacking images") as bar:
            for table in bar:
                with replacing(table) as temporary:
                    _unpack_file(file_of[table], table.with_suffix(""), temporary)

    with needs("Reading Parquet files and tars", "parquet"):
        write_once(list(file_of), write)
    return {file: table for table, file in file_of.items()}


def read_table(table: Path) -> Iterator[Row]:
    """Yield the rows of an unpacked file; where a row has no image, that column is empty."""
    with table.open(encoding="utf-8") as lines:
        for line in lines:
            place, values = json.loads(line)
            yield place, values


def _unpack_file(file: Path, image_folder: Path, table: Path) -> None:
    """Write the images of a file to a folder, and its rows with their names to a table."""
    image_folder.mkdir(exist_ok=True)
    rows = _tar_rows(file) if file.suffix.lower() == ".tar" else _parquet_rows(file)
    with table.open("w", encoding="utf-8") as lines:
        try:
            for number, (place, name, content, row) in enumerate(rows):
                texts = {key: value for key, value in row.items() if key.lower() != "image"}
                if content is None:
                    if texts:
                        lines.write(json.dumps([place, {"image": ""} | texts], default=str) + "\n")
                    continue
                base = PurePosixPath(name.replace("\\", "/")).name
                if base.startswith(".") or Path(base).suffix.lower() not in EXTENSIONS:
                    base = (base.strip(".") or f"{number:08}") + (".png" if content.startswith(b"\x89PNG") else ".jpg")
                image = image_folder / base
                if image.exists() and image.read_bytes() != content:  # another image of that name
                    image = image_folder / f"{number:08}-{base}"
                image.write_bytes(content)
                values = {"image": f"{image_folder.name}/{image.name}"} | texts
                lines.write(json.dumps([place, values], default=str) + "\n")
        except DataError:
            raise
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise DataError(f"{file} is broken: {error}") from error


def _tar_rows(file: Path) -> Iterator[_Packed]:
    """Yield the samples: the members whose names are equal up to the first dot of the base."""

    def key(member: tarfile.TarInfo) -> str:
        path = PurePosixPath(member.name)
        return str(path.with_name(path.name.partition(".")[0] or path.name))

    has_captions = False
    with tarfile.open(file) as tar:
        for sample, members in groupby((member for member in tar if member.isfile()), key):
            name, image, row = "", None, dict[str, Any]()
            for member in members:
                suffix = PurePosixPath(member.name).suffix.lower()
                stream = tar.extractfile(member) if suffix in {*EXTENSIONS, *_TEXTS, ".json"} else None
                if stream is None:
                    continue
                content, place = stream.read(), f"{file}, {member.name}"
                if suffix in EXTENSIONS:
                    name, image = member.name, content
                elif suffix in _TEXTS:
                    row["caption"] = text_files.decode(content, place).splitlines()
                elif isinstance(values := text_files.parse_json(text_files.decode(content, place), place), dict):
                    row = values | row
            has_captions |= bool(row)
            yield f"{file.name}, {sample}", name, image, row
    if not has_captions:
        raise ValueError("no image has a .txt or .json of its name beside it; unpack the tar and name its folder")


def _parquet_rows(file: Path) -> Iterator[_Packed]:
    """Yield the rows."""
    column = image_column(open_parquet(file))
    for place, row in parquet_rows(file):
        image = row.pop(column)
        content = image if isinstance(image, dict) else {"bytes": image}
        names = (content.get("path"), *(row.get(key) for key in ("file_name", "filename", "__key__")))
        name = next((name for name in names if isinstance(name, str)), "")
        yield place, name, content["bytes"], row


def parquet_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file; a `DataError` if it is broken."""
    parquet = open_parquet(file)
    try:
        rows = chain.from_iterable(batch.to_pylist() for batch in parquet.iter_batches(_BATCH))
        for number, row in enumerate(rows, 1):
            yield f"{file.name}, row {number}", row
    except OSError as error:
        raise DataError(f"{file} is broken: {error}") from error


def open_parquet(file: Path) -> Any:
    """Return the ``ParquetFile`` of a path; a `DataError` if it is broken."""
    with needs("Reading Parquet files", "parquet"):
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    try:
        return ParquetFile(file)
    except (ArrowInvalid, OSError) as error:
        raise DataError(f"{file} is not a Parquet file, or is broken: {error}") from error


def image_column(parquet: Any) -> str:
    """Return the column with the bytes of images, alone or as Hugging Face's ``{bytes, path}``; empty if none."""
    from pyarrow import types

    for field in parquet.schema_arrow:
        is_struct = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        if is_struct or types.is_binary(field.type) or types.is_large_binary(field.type):
            return str(field.name)
    return ""
