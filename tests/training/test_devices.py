"""Who has several devices trains the same captioner sooner."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT, TINY

from looksay.errors import RecipeError
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build, checkpoint, recipe_file, run
from looksay.training.batches import Part, TrainBatches, ValBatches, images

RECIPE = ROOT / "recipes" / "flickr8k.toml"


@pytest.mark.parametrize("batch", [2, 3, 5, 6, 16])
@pytest.mark.parametrize("devices", [1, 2])
def test_no_image_is_lost_or_seen_twice(batch: int, devices: int, small_data: Path) -> None:
    from looksay import data

    recipe = recipe_file.load(RECIPE, (*TINY, f"data.folder={small_data}", f"training.batch_size={batch}"))
    dataset = data.read(small_data)
    words = Vocabulary((*SPECIAL, "two", "boats"))
    seen = images(dataset.split("train"), recipe, words, build.caption_model(recipe, words))
    for kind in (TrainBatches, ValBatches):
        parts = [kind(seen, recipe, 0, Part(number, devices)) for number in range(devices)]
        assert len({len(part) for part in parts}) == 1
        shown = Counter(place for part in parts for number in range(len(part)) for place in part[number].places)
        assert shown == dict.fromkeys(range(len(seen)), 1)
        for number in range(len(parts[0])):
            assert sum(part[number].weight for part in parts) == pytest.approx(devices)
    with pytest.raises(RecipeError, match="17 devices cannot share"):
        TrainBatches(seen, recipe, 0, Part(0, 17))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["looksay", "torchrun"])
def test_two_processes_learn_what_one_does(launcher: str, small_data: Path, tmp_path: Path) -> None:
    one, two, cache = tmp_path / "one", tmp_path / "two", tmp_path / "of-two"
    changes = (*TINY, f"data.folder={small_data}", "training.batch_size=6", "training.epochs=6")
    run.train(recipe_file.load(RECIPE, (*changes, f"training.run={one}")))
    starts = {"looksay": [], "torchrun": ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]}[
        launcher
    ]
    command = [sys.executable, "-m", *starts, "looksay", "train", str(RECIPE), *changes]
    told = subprocess.run(
        [*command, f"training.run={two}", "training.devices=2"],
        check=True, capture_output=True, text=True, timeout=240,
        env=os.environ | {"LOOKSAY_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
    ).stderr  # fmt: skip
    assert told.count("looksay: the run is in") == told.count("epoch 6:") == 1
    wanted, got = checkpoint.read(one), checkpoint.read(two)
    assert [row["step"] for row in got] == [row["step"] for row in wanted]
    for name in ("train_loss", "val_loss"):
        assert [row[name] for row in got] == pytest.approx([row[name] for row in wanted], rel=1e-3)
    # Captions are those of their own epoch, on every device.
    assert [row["val_ROUGE-L"] for row in got] == pytest.approx([row["val_ROUGE-L"] for row in wanted], abs=0.05)
    assert len(list(cache.iterdir())) == 4  # images and grids, of train and val
    resumed = subprocess.run([*command, f"training.run={two}", "--resume"], check=True, capture_output=True, text=True)
    assert "has all its epochs" in resumed.stderr
