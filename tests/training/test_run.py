"""Who trains for hours wants to see how it goes, keep the best, and lose nothing to a crash."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY
from PIL import Image
from safetensors.torch import load_file

import looksay
from looksay.training import build, checkpoint, recipe_file, run, run_loader

RECIPE = ROOT / "recipes" / "flickr8k.toml"


def changes(data: Path, folder: Path, *more: str) -> list[str]:
    return [*TINY, f"data.folder={data}", f"training.run={folder}", "decoder.dropout=0.5", *more]


def test_a_run_leaves_metrics_curves_samples_and_its_own_recipe(small_run: Path) -> None:
    rows = checkpoint.read(small_run)
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["train_loss"] < 0.2 * rows[0]["train_loss"]
    assert rows[-1]["val_CIDEr-D"] > 5
    with Image.open(small_run / "curves.png") as curves:
        assert curves.size[0] > 1000
    page = (small_run / "samples" / "epoch-08.html").read_text(encoding="utf-8")
    assert "<b>two wooden boats lie in the harbour of a small town</b>" in page
    assert page.count("data:image/jpeg;base64,") == 8  # each with where the model looked
    assert page.count("where it looked") == 4
    assert list((small_run / "tensorboard").glob("events.out.tfevents.*"))
    assert recipe_file.load(small_run / "recipe.toml").training.epochs == 8
    assert [path.name for path in small_run.iterdir() if path.name.startswith(".")] == []


def test_the_best_weights_are_those_with_the_best_decoded_cider(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    recipe = recipe_file.load(RECIPE, changes(small_data, folder, "training.epochs=1"))
    run.train(recipe)
    first = load_file(folder / "best.safetensors")
    rows = checkpoint.read(folder)
    (folder / "metrics.jsonl").write_text(json.dumps({**rows[0], "val_CIDEr-D": 99.0}) + "\n", encoding="utf-8")
    text = (folder / "recipe.toml").read_text(encoding="utf-8")
    (folder / "recipe.toml").write_text(text.replace("epochs = 1", "epochs = 2"), encoding="utf-8")
    run.train(recipe, resume=True)
    assert len(checkpoint.read(folder)) == 2
    kept = load_file(folder / "best.safetensors")
    assert all(torch.equal(first[name], kept[name]) for name in first)


STAGES = ("encoder.name=test_resnet", "encoder.trainable=true", "encoder.frozen_epochs=1", "encoder.stage_epochs=1")


@pytest.mark.parametrize(
    "options", [("training.patience=9",), ("training.ema_decay=0.9",), STAGES], ids=["patience", "ema", "stages"]
)
def test_a_killed_run_resumes_and_ends_as_if_nothing_had_happened(
    options: tuple[str, ...], small_data: Path, tmp_path: Path
) -> None:
    """The process is killed for real, after an epoch is on disk."""
    epochs = 4
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    run.train(recipe_file.load(RECIPE, changes(small_data, straight, f"training.epochs={epochs}", *options)))

    command = [sys.executable, "-m", "looksay", "train", str(RECIPE)]
    arguments = changes(small_data, killed, f"training.epochs={epochs}", *options)
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, env=os.environ | {"TERM": "dumb"})
    deadline = time.monotonic() + 120
    while not (killed / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(checkpoint.read(killed)) < epochs

    subprocess.run([*command, *arguments, "--resume"], check=True, capture_output=True)
    assert [row["val_loss"] for row in checkpoint.read(killed)] == [
        row["val_loss"] for row in checkpoint.read(straight)
    ]
    wanted, got = (torch.load(folder / "last.ckpt", weights_only=True) for folder in (straight, killed))
    for part in {"state_dict", "current_model_state"} & set(wanted):  # the average, and what it is of
        assert all(torch.equal(wanted[part][name], got[part][name]) for name in wanted[part])


KILLS = int(os.environ.get("LOOKSAY_KILLS", "3"))
"""``LOOKSAY_KILLS=20 pytest tests/train/test_run.py -k any_moment`` for a long run."""


@pytest.mark.slow
def test_a_run_killed_at_any_moment_again_and_again_ends_as_if_nothing_had_happened(
    small_data: Path, tmp_path: Path
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    options = (f"training.epochs={4 * KILLS}", "training.ema_decay=0.9")
    run.train(recipe_file.load(RECIPE, changes(small_data, straight, *options)))
    command = [sys.executable, "-m", "looksay", "train", str(RECIPE), *changes(small_data, killed, *options)]
    draw = np.random.default_rng(KILLS)
    for number in range(KILLS):
        epochs = len(checkpoint.read(killed))
        process = subprocess.Popen([*command, *["--resume"][: number > 0]], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while len(checkpoint.read(killed)) == epochs:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(float(draw.uniform(0, 0.3)))  # an epoch takes about as long
        process.send_signal(signal.SIGKILL)
        process.communicate()
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    timeless = [
        [row | {"seconds": 0, "val_captions_a_second": 0} for row in checkpoint.read(f)] for f in (straight, killed)
    ]
    assert timeless[0] == timeless[1]
    assert load_file(killed / "best.safetensors").keys() == load_file(straight / "best.safetensors").keys()
    for name, wanted in load_file(straight / "best.safetensors").items():
        assert torch.equal(wanted, load_file(killed / "best.safetensors")[name])
    assert not [file.name for file in killed.iterdir() if file.name.startswith(".")]


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as Unix does")
def test_a_disk_that_is_full_leaves_the_epochs_before(small_data: Path, tmp_path: Path) -> None:
    """The process may write no file larger than 100 kB; the checkpoint is larger."""
    import resource

    folder = tmp_path / "run"
    arguments = changes(small_data, folder, "training.epochs=4")
    run.train(recipe_file.load(RECIPE, [*arguments, "training.epochs=1"]))
    (folder / "recipe.toml").write_text((folder / "recipe.toml").read_text().replace("epochs = 1", "epochs = 4"))
    before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    result = subprocess.run(
        [sys.executable, "-m", "looksay", "train", str(RECIPE), *arguments, "--resume"],
        check=False, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert f"{folder} cannot be written" in result.stderr
    assert "go on with --resume" in result.stderr
    assert {
        file: file.read_bytes() for file in (folder / "last.ckpt", folder / "best.safetensors")
    }.items() <= before.items()
    subprocess.run([sys.executable, "-m", "looksay", "train", str(RECIPE), *arguments, "--resume"], check=True)
    assert len(checkpoint.read(folder)) == 4


PHASES = """
[[phases]]
name = "read"
[[phases]]
name = "tune"
training.start = "read"
encoder.trainable = true
distillation.teachers = ["read"]
training.epochs = 1
[[phases]]
name = "draw"
training.start = "tune"
training.epochs = 2
self_critical.samples = 2
"""


def test_a_run_killed_between_its_phases_goes_on_and_ends_as_if_nothing_had_happened(
    small_data: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "phased.toml"
    recipe.write_text(RECIPE.read_text(encoding="utf-8") + PHASES, encoding="utf-8")
    tiny = [
        change for change in changes(small_data, tmp_path) if not change.startswith(("training.epochs", "encoder.tr"))
    ]
    straight, killed = ([*tiny, f"training.run={tmp_path / name}"] for name in ("straight", "killed"))
    folder = run.train_phases(recipe_file.phases(recipe, straight))
    assert folder == tmp_path / "straight" / "draw"

    command = [sys.executable, "-m", "looksay", "train", str(recipe), *killed]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"TERM": "dumb"})
    deadline = time.monotonic() + 240
    while not (tmp_path / "killed" / "tune" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    again = subprocess.run([*command, "--resume"], check=True, capture_output=True, text=True)
    assert f"{tmp_path}/killed/read has all its epochs" in again.stderr
    for phase in ("read", "tune", "draw"):
        wanted, got = (load_file(tmp_path / name / phase / "best.safetensors") for name in ("straight", "killed"))
        assert all(torch.equal(wanted[name], got[name]) for name in wanted), phase
    with pytest.raises(looksay.RunError, match="already holds a run"):
        run.train_phases(recipe_file.phases(recipe, straight))


@pytest.mark.parametrize(
    ("slip", "problem"),
    [
        ('start = "read"', "training.start=none is not a run"),
        ('teachers = ["read"]', "distillation.teachers=none is not a run"),
    ],
)
def test_a_slip_in_a_later_phase_is_told_before_the_first_begins(
    slip: str, problem: str, small_data: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "phased.toml"
    wrong = PHASES.replace(slip, slip.replace("read", "none"))
    recipe.write_text(RECIPE.read_text(encoding="utf-8") + wrong, encoding="utf-8")
    with pytest.raises(looksay.RunError, match=problem):
        run.train_phases(recipe_file.phases(recipe, changes(small_data, tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_phases_are_named_where_a_run_is_asked_for(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "phased" / "read").mkdir(parents=True)
    (tmp_path / "phased" / "read" / "recipe.toml").touch()
    with pytest.raises(looksay.RunError, match=r"its phases are .*read"):
        run_loader.load(tmp_path / "phased")


def test_a_run_is_not_overwritten_and_resume_needs_one(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(looksay.RunError, match="already holds a run"):
        run.train(recipe_file.load(RECIPE, changes(small_data, small_run)))
    with pytest.raises(looksay.RunError, match="holds no run"):
        run.train(recipe_file.load(RECIPE, changes(small_data, tmp_path / "none")), resume=True)


def test_a_run_is_not_put_among_other_files(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(looksay.RunError, match="holds other files"):
        run.train(recipe_file.load(RECIPE, changes(small_data, tmp_path)))
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["thesis.txt"]


def test_a_vocabulary_without_a_word_is_refused(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(looksay.RecipeError, match=r"min_count=500: no word"):
        run.train(recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", "vocabulary.min_count=500")))


def test_a_run_stopped_in_its_first_epoch_can_go_on(small_data: Path, tmp_path: Path) -> None:
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", "training.epochs=1"))
    run.train(recipe)
    for file in ("last.ckpt", "best.safetensors", "metrics.jsonl"):
        (tmp_path / "run" / file).unlink()
    run.train(recipe, resume=True)
    assert len(checkpoint.read(tmp_path / "run")) == 1


def test_a_broken_image_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from conftest import write_flickr8k

    data = write_flickr8k(tmp_path / "data")
    (data / "Images" / "0-alps.jpg").write_bytes(b"\xff\xd8 not an image")
    (data / "Images" / "val-boats.jpg").unlink()
    with caplog.at_level(logging.WARNING, logger="looksay"):
        folder = run.train(recipe_file.load(RECIPE, changes(data, tmp_path / "run", "training.epochs=1")))
    absent, broken = (message for message in caplog.messages if "left out" in message)
    assert "alps.jpg" in broken
    assert "named but not there, left out: 1" in absent
    assert "val-boats.jpg" in absent
    assert checkpoint.read(folder)[0]["epoch"] == 1


def test_precision_follows_the_wish() -> None:
    assert build.precision("32") == "32-true"
    assert build.precision("bf16") == "bf16-mixed"
    assert build.precision("auto") in ("32-true", "bf16-mixed")


def test_a_run_that_gets_no_better_stops_after_its_patience(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    recipe = recipe_file.load(RECIPE, changes(
        small_data, folder, "training.epochs=9", "training.learning_rate=1e-9", "training.patience=2"
    ))  # fmt: skip
    run.train(recipe)
    assert [row["epoch"] for row in checkpoint.read(folder)] == [1, 2, 3]
    assert (folder / checkpoint.BEST).is_file()
    run.train(recipe, resume=True)
    assert len(checkpoint.read(folder)) == 3


def test_gradients_of_several_batches_make_one_step(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run.train(recipe_file.load(RECIPE, changes(small_data, folder, "training.epochs=1", "training.accumulate=4")))
    assert checkpoint.read(folder)[0]["step"] == 16 / 4  # 16 images, one a batch


def test_the_encoder_begins_to_learn_after_its_frozen_epochs(small_data: Path, tmp_path: Path) -> None:
    states = []
    for epochs in (1, 2, 3):
        folder = tmp_path / f"run{epochs}"
        run.train(recipe_file.load(RECIPE, changes(
            small_data, folder, f"training.epochs={epochs}", "encoder.trainable=true", "encoder.frozen_epochs=2",
            "encoder.learning_rate=1e-2",
        )))  # fmt: skip
        left = torch.load(folder / checkpoint.LAST, weights_only=True)["state_dict"]
        states.append({k: v for k, v in left.items() if k.startswith("model.encoder.")})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
