"""A set of names on disk is a set, whichever thread drops it."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from looksay.jobs.disk_set import DiskSet


def test_it_holds_each_name_once() -> None:
    names = DiskSet(["a.jpg", Path("b.jpg"), "a.jpg"])
    assert len(names) == 2
    assert "b.jpg" in names
    assert "c.jpg" not in names
    assert names.add("c.jpg")
    assert not names.add("c.jpg")


def test_another_thread_may_drop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else Python prints a traceback when garbage is collected, and the file stays open."""
    errors: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    with ThreadPoolExecutor(1) as pool:
        names = pool.submit(DiskSet, ["a.jpg"]).result()
    assert "a.jpg" in names
    del names
    gc.collect()
    assert errors == []
