"""Runs are compared by scores and costs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from looksay import RunError
from looksay.cli.main import main
from looksay.training import checkpoint, compare_runs


def test_runs_are_compared_by_their_metrics(small_run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(small_run, tmp_path / "worse"))
    lines = (other / checkpoint.METRICS).read_text(encoding="utf-8").splitlines()
    (other / checkpoint.METRICS).write_text(lines[0] + "\n", encoding="utf-8")
    best, worse = compare_runs.compare([other, small_run])
    assert (best.run, worse.run) == (small_run, other)
    rows = checkpoint.read(small_run)
    assert best.scores["CIDEr-D"] == max(row["val_CIDEr-D"] for row in rows)
    assert best.minutes == pytest.approx(sum(row["seconds"] for row in rows) / 60)
    assert best.parameters == sum(value.numel() for value in load_file(small_run / checkpoint.BEST).values())
    assert best.captions_a_second > 1
    result = CliRunner().invoke(main, ["compare", str(other), str(small_run), "--output", str(tmp_path / "c.png")])
    assert result.exit_code == 0, result.output
    header, first, second = result.stdout.splitlines()
    assert header.split()[:3] == ["run", "encoder", "decoder"]
    assert (first.split()[0], second.split()[0]) == (small_run.name, "worse")
    assert f"{100 * best.scores['CIDEr-D']:.1f}" in first
    with Image.open(tmp_path / "c.png") as chart:
        assert chart.size[0] > 1000


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run that has completed an epoch"):
        compare_runs.compare([tmp_path])
    result = CliRunner().invoke(main, ["compare", str(tmp_path)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
