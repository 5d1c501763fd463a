"""Training on several devices gives the losses of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY

from looksay.training import checkpoint, recipe_file, run

RECIPE = ROOT / "recipes" / "flickr8k.toml"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["looksay", "torchrun"])
def test_two_processes_train_like_one(launcher: str, small_data: Path, tmp_path: Path) -> None:
    one, two, cache = tmp_path / "one", tmp_path / "two", tmp_path / "of-two"
    changes = (*TINY, f"data.folder={small_data}", "training.batch_size=6", "training.epochs=6")
    run.train(recipe_file.load(RECIPE, (*changes, f"training.run={one}")))
    starts = {"looksay": [], "torchrun": ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]}[
        launcher
    ]
    command = [sys.executable, "-m", *starts, "looksay", "train", str(RECIPE), *changes]
    environment = os.environ | {"LOOKSAY_CACHE": str(cache), "OMP_NUM_THREADS": "1"}

    def train(*arguments: str) -> str:
        process = subprocess.run(
            [*command, f"training.run={two}", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
            env=environment,
        )
        assert process.returncode == 0, process.stderr
        return process.stderr

    stderr = train("training.devices=2")
    assert stderr.count("looksay: the run is in") == stderr.count("epoch 6:") == 1
    expected, actual = checkpoint.read(one), checkpoint.read(two)
    assert [row["step"] for row in actual] == [row["step"] for row in expected]
    for name in ("train_loss", "val_loss"):
        assert [row[name] for row in actual] == pytest.approx([row[name] for row in expected], rel=1e-3)
    # Captions are those of their own epoch, on every device.
    assert [row["val_ROUGE-L"] for row in actual] == pytest.approx([row["val_ROUGE-L"] for row in expected], abs=0.05)
    assert len(list(cache.iterdir())) == 4  # images and grids, of train and val
    assert train("--resume").count("is finished") == 1
