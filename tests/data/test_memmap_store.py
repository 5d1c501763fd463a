"""Arrays in memory-mapped files: written once by one process, and read by others."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from looksay.data import memmap_store
from looksay.data.memmap_store import Problems, Rows, Shards, new_rows, wait_for
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


def test_an_interrupted_build_resumes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Shards(tmp_path / "rows", 10, (3,), np.uint8, broken_in_the_second, "")
    first = tmp_path / "rows" / "00000.npy"
    written = first.stat().st_mtime_ns
    assert [file.name for file in (tmp_path / "rows").iterdir()] == [first.name]
    rows = Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "")
    assert rows[9].tolist() == [9, 9, 9]
    assert first.stat().st_mtime_ns == written


@pytest.fixture
def _not_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")


def never(*_: object) -> Problems:
    raise AssertionError("two processes write")


@pytest.mark.usefixtures("_not_the_writer")
def test_other_processes_wait_for_the_writer(tmp_path: Path) -> None:
    built = tmp_path / "built"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", "0")
        Shards(built, 10, (3,), np.uint8, fill, "")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(Shards, tmp_path / "rows", 10, (3,), np.uint8, never, "")
        time.sleep(0.3)
        assert not waiting.done()
        built.rename(tmp_path / "rows")
        assert waiting.result(timeout=60)[7].tolist() == [7, 7, 7]


@pytest.mark.usefixtures("_not_the_writer")
def test_a_writer_without_a_sign_of_life_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_store, "WAIT_LIMIT", 0.2)
    with pytest.raises(DataError, match=r"00000\.npy was not written: .* gave no sign of life for 0 seconds"):
        Shards(tmp_path / "rows", 10, (3,), np.uint8, never, "")


def test_a_slow_writer_shows_that_it_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_store, "_HEARTBEAT", 0.05)
    with ThreadPoolExecutor() as pool, new_rows(tmp_path / "rows.npy", np.dtype(np.uint8), (4,)) as rows:
        waiting = pool.submit(wait_for, tmp_path / "rows.npy", 0.5)
        time.sleep(1.2)
        assert not waiting.done()
        rows[:] = 1
    waiting.result()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_disk_is_reported_before_rows_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_store, "SHARD", 2**62)
    with pytest.raises(DataError, match=r"cannot be written: .*; use another folder with data\.cache=DIR"):
        Shards(tmp_path / "rows", 2**20, (2**20, 2**10), np.uint8, lambda *_: pytest.fail("computed"), "")
    assert not list((tmp_path / "rows").iterdir())
