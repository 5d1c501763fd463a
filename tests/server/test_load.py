"""At twice its capacity the server refuses requests and its memory stays bounded; the long run is a benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.slow
def test_at_twice_its_capacity_the_server_answers_every_request_in_constant_memory() -> None:
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks" / "server_load.py", "--seconds", "8"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout)
    assert set(report["responses by status"]) == {"200", "503"}
    _, first, *_, last = report["memory before, and after each quarter, MB"]  # the first full batch needs the most
    assert last < first + 40
    assert last < 700
    assert report["rejected: p50, seconds"] < report["served: p50, p99, seconds"][0]
