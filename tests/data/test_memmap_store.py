"""Arrays in memory-mapped files: written once by one process, and read by others."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from looksay.data import memmap_store
from looksay.data.memmap_store import Problems, Rows, Shards
from looksay.errors import DataError


@pytest.fixture(autouse=True)
def _four_rows_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_store, "SHARD", 4 * 3)


def fill(indices: range, rows: Rows, done: Callable[[int], None]) -> Problems:
    rows[:] = np.array(indices)[:, None]
    done(len(indices))
    return {index: "odd" for index in indices if index == 9}


def broken_in_the_second(indices: range, rows: Rows, done: Callable[[int], None]) -> Problems:
    if indices.start == 4:
        raise KeyboardInterrupt
    return fill(indices, rows, done)


def test_rows_are_stored_in_several_files(tmp_path: Path) -> None:
    rows = Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "")
    assert [row.tolist() for row in map(rows.__getitem__, range(10))] == [[index] * 3 for index in range(10)]
    assert sorted(file.name for file in (tmp_path / "rows").glob("*.npy")) == ["00000.npy", "00001.npy", "00002.npy"]
    assert rows.problems == {9: "odd"} == Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "").problems


def test_rows_are_sent_to_a_worker_as_the_names_of_their_files(tmp_path: Path) -> None:
    rows = Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "")
    size = len(pickle.dumps(rows))
    assert rows[9].tolist() == [9, 9, 9]
    sent = pickle.dumps(rows)
    assert len(sent) == size
    assert pickle.loads(sent)[9].tolist() == [9, 9, 9]  # noqa: S301 (made here)


def test_an_interrupted_build_resumes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Shards(tmp_path / "rows", 10, (3,), np.uint8, broken_in_the_second, "")
    first = tmp_path / "rows" / "00000.npy"
    written = first.stat().st_mtime_ns
    assert list((tmp_path / "rows").glob("[!.]*")) == [first]
    rows = Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "")
    assert rows[9].tolist() == [9, 9, 9]
    assert first.stat().st_mtime_ns == written


def test_one_process_writes_and_the_others_wait_for_it(tmp_path: Path) -> None:
    writers = []

    def slow_fill(indices: range, rows: Rows, done: Callable[[int], None]) -> Problems:
        writers.append(indices)
        time.sleep(0.2)
        return fill(indices, rows, done)

    with ThreadPoolExecutor() as pool:
        stores = [pool.submit(Shards, tmp_path / "rows", 10, (3,), np.uint8, slow_fill, "") for _ in range(3)]
        assert [store.result(timeout=60)[7].tolist() for store in stores] == [[7, 7, 7]] * 3
    assert writers == [range(4), range(4, 8), range(8, 10)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_waiting_process_continues_when_the_writer_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from looksay.data.memmap_store import write_once\n"
        "write_once([Path(sys.argv[1])], lambda _: (print('writing', flush=True), time.sleep(600)))"
    )
    file = tmp_path / "rows" / "00000.npy"
    with (
        subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE) as writer,
        ThreadPoolExecutor() as pool,
    ):
        assert writer.stdout
        assert writer.stdout.readline() == b"writing\n"
        waiting = pool.submit(Shards, tmp_path / "rows", 2, (3,), np.uint8, fill, "")
        time.sleep(0.2)
        assert not waiting.done()
        writer.kill()
        assert waiting.result(timeout=60)[1].tolist() == [1, 1, 1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_disk_is_reported_before_rows_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_store, "SHARD", 2**62)
    with pytest.raises(DataError, match=r"cannot be written: .*; use another folder with data\.cache=DIR"):
        Shards(tmp_path / "rows", 2**20, (2**20, 2**10), np.uint8, lambda *_: pytest.fail("computed"), "")
    assert not list((tmp_path / "rows").glob("[!.]*"))
