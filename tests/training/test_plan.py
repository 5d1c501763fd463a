"""A plan names parameters, cache, memory, steps and time, and trains nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import EXAMPLES, PHOTOS, ROOT, TINY

from looksay.errors import DataError, RecipeError, RunError
from looksay.training import plan, recipe_file, run
from looksay.training.run_loader import load

RECIPE = ROOT / "recipes" / "flickr8k.toml"


def lines(data: Path, folder: Path, *more: str) -> list[str]:
    changes = [*TINY, f"data.folder={data}", f"data.cache={folder / 'cache'}", f"training.run={folder / 'run'}", *more]
    return list(plan.plans(recipe_file.phases(RECIPE, changes)))


def test_a_plan_has_the_parameters_of_the_run_and_writes_nothing(
    small_data: Path, small_run: Path, tmp_path: Path
) -> None:
    parameters, cache, memory, steps, advice, duration = lines(small_data, tmp_path, "training.batch_size=4")
    counts = [
        sum(value.numel() for value in part.parameters())
        for part in (load(small_run).model.encoder, load(small_run).model.decoder)
    ]
    assert parameters == f"parameters: encoder {counts[0]:,}, decoder {counts[1]:,}; trained: {counts[1]:,}"
    assert cache.startswith(f"cache in {tmp_path / 'cache'}: images 1 MB, features 1 MB; free: ")
    assert memory.endswith("(weights, gradients, optimiser, and the logits of a batch)")
    assert steps.startswith("steps: 40 in 10 epochs of 16 images, vocabulary ")
    assert advice.startswith("16 train images make 40 steps")
    assert "time on this" in duration
    assert not list(tmp_path.iterdir())


def test_the_cache_in_a_plan_is_as_large_as_the_one_of_the_run(small_data: Path, tmp_path: Path) -> None:
    """COCO's features are tens of GB: the number must be right."""
    options = (f"data.folder={small_data}", f"data.cache={tmp_path / 'cache'}", f"training.run={tmp_path / 'run'}")
    large = [change for change in TINY if not change.startswith("image.size")]
    recipe = recipe_file.load(RECIPE, [*large, *options, "image.size=256", "training.epochs=1"])
    (cache,) = (line for line in plan.plans([recipe]) if line.startswith("cache"))
    run.train(recipe)
    megabytes = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.npy")) / 1e6
    words = cache.replace(",", "").split()
    planned = int(words[words.index("images") + 1]) + int(words[words.index("features") + 1])
    assert planned == pytest.approx(megabytes, abs=1)


def test_a_plan_needs_the_run_that_it_starts_from_and_names_what_it_does_not_time(
    small_data: Path, small_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"training\.start=default is not a run that has completed an epoch"):
        lines(small_data, tmp_path, "training.start=default")
    changes = (f"training.start={small_run}", "self_critical.samples=5", "vocabulary.min_count=3")
    *_, steps, duration = lines(small_data, tmp_path, *changes)
    assert steps.endswith(f"vocabulary {len(load(small_run).vocabulary)} words"), "the vocabulary of the start is kept"
    assert duration.endswith(" minutes, and more for sampled captions")


def test_a_cache_that_does_not_fit_is_announced(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    assert any("set data.cache=DIR on a larger disk" in line for line in lines(small_data, tmp_path))


def test_the_steps_in_a_plan_follow_the_weights_of_a_mixture(small_data: Path, tmp_path: Path) -> None:
    shutil.copytree(small_data, tmp_path / "more")
    mixture = (f"mixture.more.folder={tmp_path / 'more'}", "mixture.more.weight=3", "training.batch_size=4")
    assert any("160 in 10 epochs of 64 images" in line for line in lines(small_data, tmp_path, *mixture))


def test_data_without_a_val_split_is_refused_with_the_option_that_draws_one(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "set")
    rows = "".join(f"{name},a photo of a thing,{'val' if name == 'boats.jpg' else 'train'}\n" for name in PHOTOS)
    (tmp_path / "set" / "c.csv").write_text(f"image,caption,split\n{rows}", encoding="utf-8")
    with pytest.raises(DataError, match=r"has one val image: .* with data\.draw_val=true"):
        lines(tmp_path / "set", tmp_path)
    with pytest.raises(DataError, match=r"has one val image: .* with data\.draw_val=true"):
        run.train(recipe_file.load(RECIPE, [f"data.folder={tmp_path / 'set'}", f"training.run={tmp_path / 'run'}"]))
    assert any(line.startswith("steps: ") for line in lines(tmp_path / "set", tmp_path, "data.draw_val=true"))


def test_a_recipe_of_small_batches_is_not_told_to_use_the_recipe_small(small_data: Path, tmp_path: Path) -> None:
    (advice,) = (line for line in lines(small_data, tmp_path, "training.batch_size=8") if "too few" in line)
    assert "recipe small" not in advice


def test_a_file_of_weights_is_checked(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no such file"):
        lines(small_data, tmp_path, f"encoder.weights={tmp_path / 'none.safetensors'}")
