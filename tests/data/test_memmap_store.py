"""Who trains on more images than memory holds reads them from files that are each written once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from looksay.data import memmap_store
from looksay.data.memmap_store import Problems, Rows, Shards
from looksay.errors import DataError


@pytest.fixture(autouse=True)
def _four_rows_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_store, "SHARD", 4 * 3)


def fill(places: range, rows: Rows, done: Callable[[int], None]) -> Problems:
    rows[:] = np.array(places)[:, None]
    done(len(places))
    return {place: "odd" for place in places if place == 9}


def broken_in_the_second(places: range, rows: Rows, done: Callable[[int], None]) -> Problems:
    if places.start == 4:
        raise KeyboardInterrupt
    return fill(places, rows, done)


def test_each_row_is_its_own_in_whatever_file(tmp_path: Path) -> None:
    rows = Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "")
    assert [row.tolist() for row in map(rows.__getitem__, range(10))] == [[place] * 3 for place in range(10)]
    assert sorted(file.name for file in (tmp_path / "rows").glob("*.npy")) == ["00000.npy", "00001.npy", "00002.npy"]
    assert rows.problems == {9: "odd"} == Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "").problems


def test_a_beginning_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Shards(tmp_path / "rows", 10, (3,), np.uint8, broken_in_the_second, "")
    first = tmp_path / "rows" / "00000.npy"
    written = first.stat().st_mtime_ns
    assert [file.name for file in (tmp_path / "rows").iterdir()] == [first.name]
    rows = Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "")
    assert rows[9].tolist() == [9, 9, 9]
    assert first.stat().st_mtime_ns == written


def _other(folder: Path, answer: multiprocessing.Queue[list[int]]) -> None:
    import os

    os.environ["LOCAL_RANK"] = "1"
    memmap_store.SHARD = 4 * 3

    def never(*_: object) -> Problems:
        raise AssertionError("two processes write")

    rows = Shards(folder, 10, (3,), np.uint8, never, "")
    answer.put(rows[7].tolist())


def test_other_processes_wait_for_the_one_that_writes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[list[int]] = context.Queue()
    waiting = context.Process(target=_other, args=(tmp_path / "rows", answer))
    waiting.start()
    time.sleep(0.5)
    assert waiting.is_alive()
    Shards(tmp_path / "rows", 10, (3,), np.uint8, fill, "")
    assert answer.get(timeout=60) == [7, 7, 7]
    waiting.join()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_want_of_space_is_said_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memmap_store, "SHARD", 2**62)
    with pytest.raises(DataError, match=r"cannot be written: .*; name another place with data\.cache=DIR"):
        Shards(tmp_path / "rows", 2**20, (2**20, 2**10), np.uint8, lambda *_: pytest.fail("computed"), "")
    assert not list((tmp_path / "rows").iterdir())
