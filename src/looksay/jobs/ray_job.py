"""The same job on many machines: Ray hands out blocks, processes that each hold a model caption them."""

from __future__ import annotations

import json
import logging
import os
import socket
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.fs
import pyarrow.parquet
import ray
import ray.data
import ray.exceptions
from numpy.typing import NDArray

from looksay.captioner import Captioner, load
from looksay.decoding.options import Overrides
from looksay.errors import ImageError, JobError
from looksay.jobs.ray_sources import Block, Image, at, blocks
from looksay.jobs.writers import Outcome, Provenance

JOB = "_job.json"
"""Tells what made the captions; readers of Parquet folders leave out names that begin so."""

_NEW = ".new"  # the file of a block that is not yet done
_SCHEMA = pyarrow.schema(
    [("image", pyarrow.string()), ("caption", pyarrow.string()), ("log_prob", pyarrow.float32()),
     ("error", pyarrow.string())]
)  # fmt: skip


class Done(NamedTuple):
    """A block that has become a file: how many images it has, and how many of them could not be read."""

    name: str
    images: int
    failed: int


def caption(
    sources: Sequence[str],
    output: str,
    models: Sequence[str],
    changes: Overrides,
    *,
    batch: int = 8,
    workers: int | None = None,
    overwrite: bool = False,
) -> tuple[int, Iterator[Done]]:
    """Caption images on a Ray cluster: the one that ``RAY_ADDRESS`` names, or this machine.

    Each block becomes ``part-NUMBER.parquet`` with columns image, caption, log_prob and error. A block whose file is
    there is not done again, so a stopped job goes on; the file of one that a lost machine was at work on is written by
    another.

    Parameters
    ----------
    sources : sequence of str
        See `sources.blocks`.
    output : str
        A folder, or the URI of one.
    models : sequence of str
        Names that every machine knows: shipped models, hub ids, or folders that all can read.
    changes : Overrides
    batch : int
        CaptionDataset captioned together.
    workers : int, optional
        Processes, of one core each; by default one for each core of the cluster.
    overwrite : bool
        Begin anew.

    Returns
    -------
    left : int
        Number of blocks that are left to do.
    done : iterator of Done
        In the order in which they get done; the job runs while they are asked for.

    Raises
    ------
    JobError
        If the sources are not there, or if the output has captions of another maker.
    """
    local = load(*models, threads=1)
    maker = Provenance.of(local, local.options(changes))
    all_ = list(blocks(sources, without=output))
    if not all_:
        raise JobError(f"no images, Parquet files or tars in {', '.join(sources)}")
    finished = _begin(output, maker, {_part(block.name) for block in all_}, overwrite=overwrite)
    left = [asdict(block) for block in all_ if _part(block.name) not in finished]
    return len(left), _work(left, output, models, changes, batch, workers) if left else iter(())


def _work(
    left: list[dict[str, Any]], output: str, models: Sequence[str], changes: Overrides, batch: int,
    workers: int | None,
) -> Iterator[Done]:  # fmt: skip
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    count = min(len(left), workers or max(1, cores))
    # All that a process needs comes with each block, so that one that has died can begin again from nothing.
    how = json.dumps({"output": output, "models": list(models), "changes": changes, "batch": batch})
    items = [{"block": json.dumps(block), "how": how} for block in left]
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _Worker, batch_size=1, num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=count),
    )  # fmt: skip
    try:
        for row in done.iter_rows():
            yield Done(str(row["name"]), int(row["images"]), int(row["failed"]))
    except ray.exceptions.RayError as error:
        cause = str(error).strip().splitlines()[-1]
        raise JobError(f"the job was stopped ({cause}); what is done stays, and the same command goes on") from error


class _Worker:
    """A process that holds a model, loaded for its first block."""

    def __init__(self) -> None:
        self._captioner: Captioner | None = None

    def __call__(self, rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        done = [
            self._do(json.loads(block), **json.loads(how))
            for block, how in zip(rows["block"], rows["how"], strict=True)
        ]
        return {name: np.array([getattr(each, name) for each in done]) for name in Done._fields}

    def _do(self, described: dict[str, Any], output: str, models: list[str], changes: Overrides, batch: int) -> Done:
        """Caption a block and write its file."""
        block = Block(**described | {"paths": tuple(described["paths"])})
        captioner = self._captioner = self._captioner or load(*models, threads=1)
        table: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
        waiting: list[Image] = []

        def flush() -> None:
            for image, outcome in zip(waiting, _outcomes(captioner, waiting, changes), strict=True):
                _add(table, image.name, outcome)
            waiting.clear()

        try:
            for image in block.images():
                waiting.append(image)
                if len(waiting) == batch:
                    flush()
            flush()
        except (tarfile.TarError, pyarrow.ArrowInvalid, JobError) as error:  # broken; what was read before it counts
            flush()
            broken = block.called(block.paths[0])
            _add(table, broken, ImageError(f"{broken}: {str(error).removeprefix(f'{broken} ')}"))
        _write(pyarrow.table(table, _SCHEMA), f"{output.rstrip('/')}/{_part(block.name)}")
        return Done(block.name, len(table["image"]), sum(error is not None for error in table["error"]))


def _outcomes(captioner: Captioner, images: Sequence[Image], changes: Overrides) -> Iterator[Outcome]:
    """Caption a batch, with a name in each error."""
    sources = [b"" if isinstance(image.data, Exception) else image.data for image in images]
    found = captioner.outcomes(sources, batch=max(1, len(sources)), **changes)
    for image, outcome in zip(images, found, strict=True):
        problem = image.data if isinstance(image.data, Exception) else outcome
        if isinstance(problem, Exception):
            yield ImageError(f"{image.name}: {str(problem).removeprefix('<bytes>: ')}")
        else:
            yield outcome


def _add(table: dict[str, list[Any]], image: str, outcome: Outcome) -> None:
    row: tuple[Any, ...] = (image, None, None, str(outcome))
    if not isinstance(outcome, ImageError):
        row = (image, outcome[0].text, outcome[0].log_prob, None)
    for name, value in zip(_SCHEMA.names, row, strict=True):
        table[name].append(value)


def _part(name: str) -> str:
    return f"part-{name}.parquet"


def _begin(output: str, maker: Provenance, parts: set[str], *, overwrite: bool) -> set[str]:
    """Return those of `parts` that are done, if they come of the same maker; else begin the folder."""
    system, path = at(output)
    try:
        system.create_dir(path)
        files = system.get_file_info(pyarrow.fs.FileSelector(path))
        done = {file.base_name: file.path for file in files if file.is_file and not file.base_name.endswith(_NEW)}
        if overwrite:
            for name in [name for name in done if name == JOB or name.startswith("part-")]:
                system.delete_file(done.pop(name))
        if JOB in done:
            with system.open_input_file(done[JOB]) as file:
                mark = json.loads(file.read())["made_by"]
            if mark != maker.mark:
                raise JobError(
                    f"{output} has captions of another model or search ({mark}, not {maker.mark}); "
                    "name another folder, or --overwrite it"
                )
        elif done:
            raise JobError(f"{output} holds other files; name a new folder")
        else:
            with system.open_output_stream(f"{path.rstrip('/')}/{JOB}") as file:
                file.write(json.dumps(maker.to_json()).encode())
    except (OSError, ValueError, KeyError) as error:
        raise JobError(f"{output} cannot be used: {error}") from error
    if strangers := {name for name in done if name != JOB} - parts:
        raise JobError(
            f"{output} has captions of images that are not there now ({len(strangers)} files, as {min(strangers)}): "
            "the sources have changed; name another folder, or --overwrite it"
        )
    return set(done)


def _write(table: pyarrow.Table, uri: str) -> None:
    """Write a file that is there whole or not at all."""
    system, path = at(uri)
    if isinstance(system, pyarrow.fs.LocalFileSystem):
        new = f"{path}.{socket.gethostname()}-{os.getpid()}{_NEW}"
        pyarrow.parquet.write_table(table, new, filesystem=system)
        system.move(new, path)
    else:  # an object of a bucket is there once its upload has ended
        pyarrow.parquet.write_table(table, path, filesystem=system)
