"""Under load the server keeps its promises, and its memory stays bounded; the long runs are benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def benchmark(script: str, *arguments: str, timeout: float) -> dict[str, Any]:
    """Run a benchmark and return its row; fail if its exit code is not 0."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def test_at_twice_its_capacity_the_server_answers_every_request_in_constant_memory() -> None:
    report = benchmark("server_load.py", "--seconds", "8", timeout=200)
    assert set(report["responses by status"]) == {"200", "503"}
    _, first, *_, last = report["memory before, and after each quarter, MB"]  # the first full batch needs the most
    assert last < first + 40
    assert last < 700
    assert report["rejected: p50, seconds"] < report["served: p50, p99, seconds"][0]


def test_five_minutes_at_seventy_percent_of_its_capacity_with_clients_that_misbehave() -> None:
    """The time includes the start and the measurement of the capacity."""
    report = benchmark("soak.py", "--minutes", "4.5", timeout=400)
    assert report["failed"] == 0
    assert all(report["clients"][kind] for kind in ("good", "broken", "crashes", "gives up"))
    assert report["memory, MB per hour"] <= report["bound, MB per hour"]
