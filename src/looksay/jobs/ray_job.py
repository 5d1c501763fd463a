"""The resumable folder job on a cluster: Ray distributes blocks to processes that each hold a model."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow
import pyarrow.fs
import pyarrow.parquet
import ray
import ray.data
import ray.exceptions

from looksay.captioner import Captioner, load
from looksay.data.table_reader import MADE_BY
from looksay.decoding.options import Overrides
from looksay.errors import JobError
from looksay.jobs.ray_sources import Block, blocks, resolve
from looksay.jobs.text_writers import figures
from looksay.jobs.writers import LEFT_OUT, Provenance

JOB = "_job.json"
"""The file with the provenance; readers of Parquet folders skip names that begin with an underscore."""

_PARTIAL = ".new"  # suffix of a file that is being written
_TEXT = pyarrow.string()
_SCHEMA = pyarrow.schema(
    {
        "image": _TEXT,
        "caption": _TEXT,
        "confidence": pyarrow.float32(),
        "log_prob": pyarrow.float32(),
        "keywords": pyarrow.list_(_TEXT),
        "error": _TEXT,
    }
)


def caption(
    sources: Sequence[str],
    output: str,
    models: Sequence[str],
    overrides: Overrides,
    *,
    batch: int = 8,
    workers: int | None = None,
    overwrite: bool = False,
) -> tuple[int, Iterator[tuple[int, int]]]:
    """Caption images on the Ray cluster that ``RAY_ADDRESS`` names, or on this machine.

    Each block becomes ``part-NUMBER-HASH.parquet`` with columns image, caption, confidence, log_prob,
    keywords and error. Blocks
    whose file exists are skipped, so a stopped job is resumed; if a machine is lost, another one captions its block.

    The sources are those of `ray_sources.blocks`, `output` is the path or URI of a folder, and `models` are shipped
    models, hub ids, or folders that all machines can read. By default there is a worker for each core of the cluster.

    Returns the number of blocks to caption, and an iterator over the numbers of images and of failed images of each
    block that is written; the job runs while it is consumed. Raises `JobError` if a source does not exist, or if the
    output has captions of another provenance.
    """
    captioner = load(*models, threads=1)
    provenance = Provenance.of(captioner, captioner.options(overrides))
    parts = {_part(block): block for block in blocks(sources, exclude=output)}
    if not parts:
        raise JobError(f"no images, Parquet files or tars in {', '.join(sources)}")
    finished = _open_output(output, provenance, set(parts), overwrite=overwrite)
    pending = [block for part, block in parts.items() if part not in finished]
    settings = {"output": output, "models": list(models), "overrides": overrides, "batch": batch}
    return len(pending), _run(pending, settings, workers) if pending else iter(())


def _run(pending: Sequence[Block], settings: dict[str, Any], workers: int | None) -> Iterator[tuple[int, int]]:
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    items = [{"block": json.dumps(block)} for block in pending]
    results = ray.data.from_items(items, override_num_blocks=len(items)).map(
        _Worker,  # type: ignore[arg-type]
        fn_constructor_kwargs=settings, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=min(len(pending), workers or max(1, cores))),
    )  # fmt: skip
    try:
        for row in results.iter_rows():
            yield int(row["images"]), int(row["failed"])
    except ray.exceptions.RayError as error:
        cause = str(error).strip().splitlines()[-1]
        raise JobError(f"the job was stopped ({cause}); run the same command again to resume") from error


class _Worker:
    """Captions blocks, in a process of its own; Ray creates it again with the same settings if the process dies."""

    def __init__(self, output: str, models: list[str], overrides: Overrides, batch: int) -> None:
        self._output, self._models, self._overrides, self._batch = output, models, overrides, batch
        self._captioner: Captioner | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        """Caption a block and write its file."""
        block = Block(*json.loads(row["block"]))
        rows = list(self._caption(block))
        _write(pyarrow.Table.from_pylist(rows, _SCHEMA), f"{self._output.rstrip('/')}/{_part(block)}")
        return {"images": len(rows), "failed": sum(LEFT_OUT not in row.get("error", LEFT_OUT) for row in rows)}

    def _caption(self, block: Block) -> Iterator[dict[str, Any]]:
        captioner = self._captioner = self._captioner or load(*self._models, threads=1)
        images = block.images()
        while group := list(islice(images, self._batch)):
            sources = [b"" if isinstance(image.data, Exception) else image.data for image in group]
            outcomes = captioner.outcomes(sources, batch=len(sources), **self._overrides)
            for image, outcome in zip(group, outcomes, strict=True):
                error = image.data if isinstance(image.data, Exception) else outcome
                if isinstance(error, Exception):
                    yield {"image": image.name, "error": f"{image.name}: {str(error).removeprefix('<bytes>: ')}"}
                else:
                    yield {"image": image.name, **figures(error[0]), "keywords": list(error[0].keywords)}


def _part(block: Block) -> str:
    return f"part-{block.name}.parquet"


def _open_output(output: str, provenance: Provenance, parts: set[str], *, overwrite: bool) -> set[str]:
    """Create the folder or check that it can be resumed; return the names of its files."""
    system, path = resolve(output)
    try:
        system.create_dir(path)
        entries = system.get_file_info(pyarrow.fs.FileSelector(path))
        files = {
            entry.base_name: entry.path for entry in entries if entry.is_file and not entry.base_name.endswith(_PARTIAL)
        }
        if overwrite:
            for name in [name for name in files if name == JOB or name.startswith("part-")]:
                system.delete_file(files.pop(name))
        if JOB in files:
            with system.open_input_file(files.pop(JOB)) as file:
                provenance.check(json.loads(file.read())[MADE_BY], output)
        elif files:
            raise JobError(f"{output} holds other files; name a new folder")
        else:
            with system.open_output_stream(f"{path.rstrip('/')}/{JOB}") as file:
                file.write(json.dumps(provenance.to_json()).encode())
    except (OSError, ValueError, KeyError) as error:
        raise JobError(f"{output} cannot be used: {error}") from error
    if unknown := files.keys() - parts:
        raise JobError(
            f"{output} has captions of images that are not in the sources ({len(unknown)} files, {min(unknown)}, …): "
            "the sources have changed; name another folder, or --overwrite it"
        )
    return set(files)


def _write(table: pyarrow.Table, uri: str) -> None:
    """Write a file atomically."""
    system, path = resolve(uri)
    if isinstance(system, pyarrow.fs.LocalFileSystem):
        partial = f"{path}.{socket.gethostname()}-{os.getpid()}{_PARTIAL}"
        pyarrow.parquet.write_table(table, partial, filesystem=system)
        system.move(partial, path)
    else:  # an object in a bucket appears when its upload is complete
        pyarrow.parquet.write_table(table, path, filesystem=system)
