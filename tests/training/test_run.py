"""A run keeps its best weights, shows its progress, and resumes exactly after a stop at any moment."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, ROOT, TINY
from PIL import Image
from safetensors.torch import load_file

import looksay
from looksay.atomic_files import lock
from looksay.text.vocabulary import Vocabulary
from looksay.training import checkpoint, recipe_file, run, run_loader
from looksay.training.build import build_model
from looksay.training.feature_cache import precision

RECIPE = ROOT / "recipes" / "flickr8k.toml"


def changes(data: Path, folder: Path, *more: str) -> list[str]:
    return [*TINY, f"data.folder={data}", f"training.run={folder}", "decoder.dropout=0.5", *more]


def test_a_run_leaves_metrics_curves_samples_and_its_own_recipe(small_run: Path) -> None:
    rows = checkpoint.read(small_run)
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["train_loss"] < 0.2 * rows[0]["train_loss"]
    assert rows[-1]["val_CIDEr-D"] > 5
    assert rows[-1]["val_word_precision"] > 0.95 > rows[0]["val_word_precision"]
    assert rows[-1]["val_distinct_words"] > rows[0]["val_distinct_words"]
    assert rows[-1]["val_mean_length"] > 5
    with Image.open(small_run / "curves.png") as curves:
        assert curves.size[0] > 1000
    page = (small_run / "samples" / "epoch-08.html").read_text(encoding="utf-8")
    assert '<b dir="auto">two wooden boats lie in the harbour of a small town</b>' in page
    assert page.count("data:image/jpeg;base64,") == 8  # each with its attention maps
    assert page.count("<summary>attention by word") == 4
    assert list((small_run / "tensorboard").glob("events.out.tfevents.*"))
    assert recipe_file.load(small_run / "recipe.toml").training.epochs == 8
    assert [path.name for path in small_run.iterdir() if path.name.startswith(".")] == []


def test_the_best_weights_have_the_best_decoded_cider_d(small_data: Path, tmp_path: Path) -> None:
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


class Stopped(BaseException):
    """Ends a run in this process where a kill would end it."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], AbstractContextManager[None]]:
    """A context in which the run stops just before a file is replaced for the n-th time; "" is any file."""

    @contextmanager
    def stop_at(name: str, number: int) -> Iterator[None]:
        replace, count = Path.replace, 0

        def counted(self: Path, target: Path) -> Path:
            nonlocal count
            count += name in ("", target.name)
            if count == number:
                raise Stopped
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", counted)
            with pytest.raises(Stopped):
                yield

    return stop_at


def comparable(run_folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run without its times."""
    return [row | {"seconds": 0, "val_captions_a_second": 0} for row in checkpoint.read(run_folder)]


def assert_same_run(expected: Path, actual: Path) -> None:
    """Two runs have the same metrics, weights and averages, bit for bit."""
    assert comparable(actual) == comparable(expected)
    best, other_best = (load_file(folder / checkpoint.BEST) for folder in (expected, actual))
    assert all(torch.equal(best[name], other_best[name]) for name in best)
    last, other_last = (torch.load(folder / checkpoint.LAST, weights_only=True) for folder in (expected, actual))
    for part in {"state_dict", "current_model_state"} & set(last):
        assert all(torch.equal(last[part][name], other_last[part][name]) for name in last[part])
    assert not [file.name for file in actual.rglob(".*")]


STAGES = ("encoder.name=test_resnet", "encoder.trainable=true", "encoder.frozen_epochs=1", "encoder.stage_epochs=1")


@pytest.mark.parametrize(
    ("options", "file", "number"),
    [
        (("training.patience=9",), checkpoint.METRICS, 2),
        (("training.ema_decay=0.9",), Path(checkpoint.LAST).name, 2),
        (STAGES, checkpoint.CURVES, 3),
    ],
    ids=["patience", "ema", "stages"],
)
def test_a_stopped_run_resumes_exactly(
    options: tuple[str, ...],
    file: str,
    number: int,
    small_data: Path,
    tmp_path: Path,
    stop_at: Callable[[str, int], AbstractContextManager[None]],
) -> None:
    straight, stopped = (
        recipe_file.load(RECIPE, changes(small_data, tmp_path / name, "training.epochs=3", *options))
        for name in ("straight", "stopped")
    )
    run.train(straight)
    with stop_at(file, number):
        run.train(stopped)
    run.train(stopped, resume=True)
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


@pytest.mark.slow
def test_a_run_stopped_before_any_of_its_files_resumes_exactly(
    small_data: Path, tmp_path: Path, stop_at: Callable[[str, int], AbstractContextManager[None]]
) -> None:
    options = ("training.epochs=2", "training.ema_decay=0.9", "training.batch_size=4")
    caches = run.train(recipe_file.load(RECIPE, changes(small_data, tmp_path / "straight", *options)))
    written = 2 + 2 * 4 + sum(file.name == checkpoint.BEST for file in caches.iterdir())  # at least so many files
    for number in range(1, written + 1):
        recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / str(number), *options))
        with stop_at("", number):
            run.train(recipe)
        run.train(recipe, resume=(tmp_path / str(number) / "recipe.toml").exists())
        assert_same_run(tmp_path / "straight", tmp_path / str(number))


KILLS = int(os.environ.get("LOOKSAY_KILLS", "1"))
"""``LOOKSAY_KILLS=20 pytest tests/training/test_run.py -k killed`` for a long series."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="has no SIGKILL")
def test_a_run_killed_at_any_moment_resumes_exactly(small_data: Path, tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    options = (f"training.epochs={3 * KILLS}", "training.ema_decay=0.9")
    run.train(recipe_file.load(RECIPE, changes(small_data, straight, *options)))
    command = [sys.executable, "-m", "looksay", "train", str(RECIPE), *changes(small_data, killed, *options)]
    rng = np.random.default_rng(KILLS)
    for number in range(KILLS):
        epochs = len(checkpoint.read(killed))
        process = subprocess.Popen([*command, *["--resume"][: number > 0]], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while len(checkpoint.read(killed)) == epochs:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.3)))  # about the length of an epoch
        process.kill()
        process.communicate()
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    assert_same_run(straight, killed)


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes as Unix does")
def test_a_full_disk_keeps_the_files_of_the_epochs_before(small_data: Path, tmp_path: Path) -> None:
    """The process may write no file larger than 100 kB; the weights are larger."""
    import resource

    folder = tmp_path / "run"
    recipe = recipe_file.load(RECIPE, changes(small_data, folder, "training.epochs=2"))
    run.train(recipe_file.load(RECIPE, changes(small_data, folder, "training.epochs=1")))
    text = (folder / "recipe.toml").read_text(encoding="utf-8")
    (folder / "recipe.toml").write_text(text.replace("epochs = 1\n", "epochs = 2\n"), encoding="utf-8")
    before = {name: (folder / name).read_bytes() for name in (checkpoint.BEST, checkpoint.LAST)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(looksay.RunError, match=r"cannot be written .*then continue with --resume"):
            run.train(recipe, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert before == {name: (folder / name).read_bytes() for name in (checkpoint.BEST, checkpoint.LAST)}
    run.train(recipe, resume=True)
    assert len(checkpoint.read(folder)) == 2


PHASES = """
[[phases]]
name = "read"
training.epochs = 2
[[phases]]
name = "tune"
training.start = "read"
encoder.trainable = true
distillation.teachers = ["read"]
training.epochs = 1
[[phases]]
name = "sample"
training.start = "tune"
training.epochs = 1
self_critical.samples = 2
"""


def test_a_run_stopped_between_its_phases_resumes_exactly(
    small_data: Path,
    tmp_path: Path,
    stop_at: Callable[[str, int], AbstractContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    recipe = tmp_path / "phased.toml"
    recipe.write_text(RECIPE.read_text(encoding="utf-8") + PHASES, encoding="utf-8")
    tiny = [change for change in changes(small_data, tmp_path) if not change.startswith("training.run")]
    straight, stopped = ([*tiny, f"training.run={tmp_path / name}"] for name in ("straight", "stopped"))
    folder = run.train_phases(recipe_file.phases(recipe, straight))
    assert folder == tmp_path / "straight" / "sample"

    with stop_at(checkpoint.METRICS, 3):  # in the second phase
        run.train_phases(recipe_file.phases(recipe, stopped))
    with caplog.at_level(logging.WARNING, logger="looksay"):
        run.train_phases(recipe_file.phases(recipe, stopped), resume=True)
    assert f"{tmp_path}/stopped/read is finished" in caplog.text
    for phase in ("read", "tune", "sample"):
        assert_same_run(tmp_path / "straight" / phase, tmp_path / "stopped" / phase)
    with pytest.raises(looksay.RunError, match="already holds a run"):
        run.train_phases(recipe_file.phases(recipe, straight))


@pytest.mark.parametrize(
    ("mistake", "problem"),
    [
        ('start = "read"', "training.start=none is not a run"),
        ('teachers = ["read"]', "distillation.teachers=none is not a run"),
    ],
)
def test_a_mistake_in_a_later_phase_is_an_error_before_the_first_starts(
    mistake: str, problem: str, small_data: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "phased.toml"
    wrong = PHASES.replace(mistake, mistake.replace("read", "none"))
    recipe.write_text(RECIPE.read_text(encoding="utf-8") + wrong, encoding="utf-8")
    with pytest.raises(looksay.RunError, match=problem):
        run.train_phases(recipe_file.phases(recipe, changes(small_data, tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_missing_weights_are_an_error_before_any_data_is_read(tmp_path: Path) -> None:
    recipe = recipe_file.load(
        RECIPE, [f"data.folder={tmp_path}/none", f"training.run={tmp_path}/run", "encoder.weights=no.file"]
    )
    with pytest.raises(looksay.RecipeError, match=r"encoder\.weights=no\.file: there is no such file"):
        run.train_phases([recipe])


def test_loading_the_folder_of_phases_names_them(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "phased" / "read").mkdir(parents=True)
    (tmp_path / "phased" / "read" / "recipe.toml").touch()
    with pytest.raises(looksay.RunError, match=r"one of its phases, .*read"):
        run_loader.load(tmp_path / "phased")


def test_a_run_is_not_overwritten_and_resume_needs_one(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(looksay.RunError, match="already holds a run"):
        run.train(recipe_file.load(RECIPE, changes(small_data, small_run)))
    with pytest.raises(looksay.RunError, match="holds no run"):
        run.train(recipe_file.load(RECIPE, changes(small_data, tmp_path / "none")), resume=True)


def test_a_run_needs_a_folder_without_other_files(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(looksay.RunError, match="holds other files"):
        run.train(recipe_file.load(RECIPE, changes(small_data, tmp_path)))
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["thesis.txt"]


def test_two_trainings_never_write_into_one_folder(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    """The recipes have a default folder, and a forgotten session may still train there."""
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "run"))
    (tmp_path / "run").mkdir()
    with lock(tmp_path / "run" / checkpoint.RECIPE), pytest.raises(looksay.RunError, match="another looksay trains"):
        run.train(recipe)
    with lock(small_run / checkpoint.RECIPE), pytest.raises(looksay.RunError, match="another looksay trains"):
        run.train(recipe_file.load(RECIPE, changes(small_data, small_run)), resume=True)
    assert not (tmp_path / "run" / checkpoint.RECIPE).exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for another process")
def test_ctrl_c_says_how_to_continue(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = changes(small_data, folder, "training.epochs=500")
    command = [sys.executable, "-m", "looksay", "train", str(RECIPE), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and len(checkpoint.read(folder)) < 2:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "complete epochs: continue it with --resume" in stderr
    assert "Traceback" not in stderr


def test_an_empty_vocabulary_is_refused(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(looksay.RecipeError, match=r"min_count=500: no word"):
        run.train(recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", "vocabulary.min_count=500")))


def test_a_run_stopped_in_its_first_epoch_resumes_from_the_start(
    small_data: Path, tmp_path: Path, stop_at: Callable[[str, int], AbstractContextManager[None]]
) -> None:
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", "training.epochs=1"))
    with stop_at(checkpoint.BEST, 1):
        run.train(recipe)
    parts = [tmp_path / "run" / part / ".host-1-last.ckpt" for part in ("checkpoints", "samples", "")]
    for part in parts:  # of a killed process; a checkpoint has hundreds of MB
        part.parent.mkdir(exist_ok=True)
        part.touch()
    run.train(recipe, resume=True)
    assert len(checkpoint.read(tmp_path / "run")) == 1
    assert not any(map(Path.exists, parts))


def test_a_word_that_no_caption_can_have_is_an_error_before_the_training(small_data: Path, tmp_path: Path) -> None:
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", "decoding.prefix=a zyzzyva"))
    with pytest.raises(looksay.OptionError, match="zyzzyva"):
        run.train(recipe)
    assert not (tmp_path / "run").exists()


def test_a_set_of_a_mixture_with_one_val_image_is_refused(small_data: Path, tmp_path: Path) -> None:
    """It has no CIDEr-D, so that no epoch would be the best one."""
    lines = [json.dumps({"image": f"{split}.jpg", "caption": "a dog", "split": split}) for split in ("train", "val")]
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for split in ("train", "val"):
        shutil.copy(EXAMPLES / "boats.jpg", mixed / f"{split}.jpg")
    (mixed / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", f"mixture.mixed.folder={mixed}"))
    with pytest.raises(looksay.DataError, match=r"mixture\.mixed has one val image that can be read"):
        run.train(recipe)


def test_an_unreadable_image_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from conftest import write_flickr8k

    data = write_flickr8k(tmp_path / "data")
    (data / "Images" / "0-alps.jpg").write_bytes(b"\xff\xd8 not an image")
    (data / "Images" / "val-boats.jpg").unlink()
    with caplog.at_level(logging.WARNING, logger="looksay"):
        folder = run.train(recipe_file.load(RECIPE, changes(data, tmp_path / "run", "training.epochs=1")))
    absent, broken = (message for message in caplog.messages if "left out" in message)
    assert "alps.jpg" in broken
    assert "missing images, left out: 1" in absent
    assert "val-boats.jpg" in absent
    assert checkpoint.read(folder)[0]["epoch"] == 1


def test_precision_has_lightnings_names() -> None:
    assert precision("32") == "32-true"
    assert precision("bf16") == "bf16-mixed"
    assert precision("auto") in ("32-true", "bf16-mixed")


def test_a_run_stops_early_after_its_patience(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    recipe = recipe_file.load(RECIPE, changes(
        small_data, folder, "training.epochs=9", "training.learning_rate=1e-9", "training.patience=2"
    ))  # fmt: skip
    run.train(recipe)
    assert [row["epoch"] for row in checkpoint.read(folder)] == [1, 2, 3]
    assert (folder / checkpoint.BEST).is_file()
    run.train(recipe, resume=True)
    assert len(checkpoint.read(folder)) == 3


def test_accumulated_batches_make_one_step(small_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run.train(recipe_file.load(RECIPE, changes(small_data, folder, "training.epochs=1", "training.accumulate=4")))
    assert checkpoint.read(folder)[0]["step"] == 16 / 4  # 16 images, one a batch


def test_the_encoder_is_unfrozen_after_its_frozen_epochs(small_data: Path, tmp_path: Path) -> None:
    states = []
    for epochs in (1, 2):
        folder = tmp_path / f"run{epochs}"
        run.train(recipe_file.load(RECIPE, changes(
            small_data, folder, f"training.epochs={epochs}", "encoder.trainable=true", "encoder.frozen_epochs=1",
            "encoder.learning_rate=1e-2",
        )))  # fmt: skip
        state = torch.load(folder / checkpoint.LAST, weights_only=True)["state_dict"]
        states.append({k: v for k, v in state.items() if k.startswith("model.encoder.")})
    torch.manual_seed(0)
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path))
    initial = build_model(recipe, Vocabulary.load(tmp_path / "run1" / "vocabulary.json"), []).encoder.state_dict()
    assert all(torch.equal(initial[name.removeprefix("model.encoder.")], states[0][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.slow
def test_a_compiled_decoder_has_the_same_losses(small_data: Path, tmp_path: Path) -> None:
    options = ("training.epochs=1", "training.batch_size=8", "decoder.dropout=0", "training.length_buckets=8")
    rows = []
    for compiled in ("false", "true"):
        folder = tmp_path / compiled
        recipe = recipe_file.load(RECIPE, changes(small_data, folder, *options, f"training.compile={compiled}"))
        rows += checkpoint.read(run.train(recipe))
    assert rows[1]["train_loss"] == pytest.approx(rows[0]["train_loss"], abs=1e-4)
    assert rows[1]["val_loss"] == pytest.approx(rows[0]["val_loss"], abs=1e-3)


def test_length_buckets_change_no_loss(small_data: Path, tmp_path: Path) -> None:
    losses = []
    for bucket in (0, 8):
        options = ("training.epochs=1", "training.batch_size=8", f"training.length_buckets={bucket}")
        recipe = recipe_file.load(RECIPE, [*changes(small_data, tmp_path / str(bucket), *options), "decoder.dropout=0"])
        losses += [row["train_loss"] for row in checkpoint.read(run.train(recipe))]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
