"""Under twice the load it can take, the server turns clients away and stays as it is; the long run is a benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.slow
def test_at_twice_its_capacity_it_answers_all_and_grows_no_fatter() -> None:
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks" / "serving.py", "--seconds", "8"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout)
    assert set(found["answers"]) == {"200", "503"}
    _, first, *_, last = found["memory before, and after each quarter, MB"]  # the first full batch needs the most
    assert last < first + 40
    assert last < 700
    assert found["refused: p50, seconds"] < found["served: p50, p99, seconds"][0]
