"""Each training option is tested by its effect."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY
from safetensors.torch import load_file
from torch import Tensor

from looksay.errors import RecipeError, RunError
from looksay.models.encoder import Encoder, image_spec
from looksay.training import checkpoint, recipe_file, run
from looksay.training.caption_dataset import caption_dataset
from looksay.training.run_loader import history, load
from looksay.training.sections import EncoderOptions

RECIPE = ROOT / "recipes" / "flickr8k.toml"
Weights = dict[str, Tensor]


def trained(data: Path, folder: Path, *more: str) -> Weights:
    """The best weights after one epoch of four steps, or after the training that `more` configures."""
    changes = [
        *TINY,
        f"data.folder={data}",
        f"training.run={folder}",
        "training.epochs=1",
        "training.batch_size=4",
        *more,
    ]
    run.train(recipe_file.load(RECIPE, changes))
    return load_file(folder / checkpoint.BEST)


def last_checkpoint(folder: Path) -> dict[str, Weights]:
    weights: dict[str, Weights] = torch.load(folder / checkpoint.LAST, weights_only=True)
    return weights


def changed(before: Weights, after: Weights) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_the_best_weights_are_the_moving_average_and_training_is_unchanged(small_data: Path, tmp_path: Path) -> None:
    with_batch_norm = "encoder.name=test_resnet"
    plain = trained(small_data, tmp_path / "plain", with_batch_norm)
    averaged = trained(small_data, tmp_path / "averaged", with_batch_norm, "training.ema_decay=0.9")
    last = last_checkpoint(tmp_path / "averaged")
    assert changed({f"model.{name}": value for name, value in plain.items()}, last["current_model_state"]) == set()
    assert changed({f"model.{name}": value for name, value in averaged.items()}, last["state_dict"]) == set()
    averaged_names = changed(plain, averaged)
    assert averaged_names
    assert all(name.startswith("decoder.") for name in averaged_names)


def test_stages_are_unfrozen_one_after_another() -> None:
    options = EncoderOptions(trainable=True, frozen_epochs=2, stage_epochs=3, stages=2)
    assert [options.unfrozen_stages(epoch) for epoch in range(10)] == [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]
    at_once = EncoderOptions(trainable=True, frozen_epochs=1)
    assert [at_once.unfrozen_stages(epoch) for epoch in range(3)] == [0, float("inf"), float("inf")]
    assert EncoderOptions().unfrozen_stages(5) == 0


ENCODERS = ("vgg16", "inception_v3", "legacy_xception", "resnet50", "tf_efficientnet_lite0", "test_convnext")


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_the_last_stages_get_gradients_and_no_other(name: str) -> None:
    encoder = Encoder(name, image_spec(name, 96, "squash"), "random", trainable=True)
    stages = encoder.stages()
    assert len(stages) >= 3
    encoder.unfreeze(2)
    encoder(torch.randn(2, 3, 96, 96)).square().sum().backward()
    reached = [{parameter.grad is not None for parameter in stage} for stage in stages]
    assert reached == [{place >= len(stages) - 2} for place in range(len(stages))]


def test_normalisation_layers_are_no_stages() -> None:
    encoder = Encoder("vgg11_bn", image_spec("vgg11_bn", 64, "squash"), "random", trainable=True)
    stages = encoder.stages()
    assert len(stages) == 8  # its convolutions
    assert all(any(parameter.ndim > 1 for parameter in stage) for stage in stages)


def test_only_the_last_stage_is_trained_and_batch_statistics_are_kept(small_data: Path, tmp_path: Path) -> None:
    options = ("encoder.name=test_resnet", "encoder.trainable=true", "encoder.learning_rate=1e-2")
    before = trained(small_data, tmp_path / "before", *options, "encoder.frozen_epochs=1")
    after = trained(small_data, tmp_path / "after", *options, "encoder.stages=1")
    moved = {name for name in changed(before, after) if name.startswith("encoder.")}
    assert moved
    assert all(name.startswith("encoder.cnn.layer4.") for name in moved)
    assert not any("running" in name or "tracked" in name for name in moved)


def test_earlier_stages_have_lower_learning_rates(small_data: Path, tmp_path: Path) -> None:
    """AdamW's first step is as long as the rate, so one step shows the rate of each stage."""
    options = (
        "encoder.name=test_resnet",
        "encoder.trainable=true",
        "training.batch_size=16",
        "training.weight_decay=0",
    )
    before = trained(small_data, tmp_path / "before", *options, "encoder.frozen_epochs=1")
    after = trained(
        small_data, tmp_path / "after", *options, "encoder.learning_rate=1e-3", "encoder.layer_decay=0.5",
        "training.epochs=1",
    )  # fmt: skip
    steps = [
        max(float((after[name] - before[name]).abs().max()) for name in before if f"cnn.layer{layer}." in name)
        for layer in (4, 3, 2, 1)
    ]
    assert steps == pytest.approx([1e-3, 5e-4, 2.5e-4, 1.25e-4], rel=0.02)


def test_dropout_and_scheduled_sampling_change_the_training_loss_and_not_the_validation_loss(
    small_data: Path, tmp_path: Path
) -> None:
    """The learning rate is almost zero, so the model is the same under each option."""
    rows = {}
    for name, option in {
        "plain": "training.seed=0",
        "dropout": "decoder.dropout=0.9",
        "sampling": "training.scheduled_sampling=0.9",
    }.items():
        folder = tmp_path / name
        trained(small_data, folder, "training.learning_rate=1e-9", "training.epochs=2", option)
        rows[name] = checkpoint.read(folder)[-1]
    assert rows["dropout"]["train_loss"] > rows["plain"]["train_loss"] + 0.05
    assert rows["sampling"]["train_loss"] != pytest.approx(rows["plain"]["train_loss"], abs=1e-5)
    for row in rows.values():
        assert row["val_loss"] == pytest.approx(rows["plain"]["val_loss"], abs=1e-5)


def test_label_smoothing_lowers_the_highest_probability(small_data: Path, tmp_path: Path) -> None:
    from looksay import data

    highest = {}
    for smoothing in ("0.0", "0.3"):
        folder = tmp_path / smoothing
        trained(
            small_data, folder, "training.epochs=6", "training.batch_size=1", "training.learning_rate=3e-3",
            f"training.label_smoothing={smoothing}",
        )  # fmt: skip
        trained_run = load(folder)
        images = caption_dataset(
            data.read(small_data).split("val"), trained_run.recipe, trained_run.vocabulary, trained_run.model
        )
        batch = images.batch(range(4), 2)
        with torch.no_grad():
            outputs, _ = trained_run.model.decoder(trained_run.model.encode(batch.images)[0], batch.tokens)
            probabilities = trained_run.model.decoder.output_head(batch.words_of(outputs)).softmax(dim=-1).amax(dim=-1)
        highest[smoothing] = float(probabilities.mean())
    assert highest["0.3"] < highest["0.0"] - 0.1


def test_self_critical_training_starts_from_another_run_and_raises_the_reward(
    small_run: Path, small_data: Path, tmp_path: Path
) -> None:
    """With a learning rate of almost zero the weights are those of the start."""
    initial = load_file(small_run / checkpoint.BEST)
    start = (f"training.start={small_run}", "self_critical.samples=4", "self_critical.cross_entropy=0")
    unchanged = trained(small_data, tmp_path / "unchanged", *start, "training.learning_rate=1e-9")
    assert all(torch.allclose(initial[name], unchanged[name], atol=1e-6) for name in initial)
    more = (*start, "training.learning_rate=1e-9", "self_critical.word_precision=2")
    trained(small_data, tmp_path / "precise", *more)
    (cider, *_), (both, *_) = (
        [row["train_reward"] for row in checkpoint.read(tmp_path / name)] for name in ("unchanged", "precise")
    )
    assert cider < both < cider + 2
    trained(small_data, tmp_path / "rewarded", *start, "training.learning_rate=1e-3", "training.epochs=12")
    rewards = [row["train_reward"] for row in checkpoint.read(tmp_path / "rewarded")]
    assert sum(rewards[-3:]) > 1.1 * sum(rewards[:3])


def test_a_run_starts_from_the_mean_of_several(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    other = trained(small_data, tmp_path / "other", f"training.start={small_run}", "training.epochs=1")
    initial = load_file(small_run / checkpoint.BEST)
    both = f'training.start=["{small_run}", "{tmp_path / "other"}"]'
    mean = trained(small_data, tmp_path / "mean", both, "training.epochs=0")
    assert changed(initial, other)
    assert all(torch.allclose((initial[name] + other[name]) / 2, mean[name], atol=1e-7) for name in initial)
    (row,) = checkpoint.read(tmp_path / "mean")
    assert row["epoch"] == 0
    assert row["val_CIDEr-D"] > 0
    with pytest.raises(RecipeError, match=r"training.epochs 0 is out of range: use 1 or more, or set training.start"):
        trained(small_data, tmp_path / "nothing", "training.epochs=0")
    assert [run.folder.name for run in history(tmp_path / "mean")] == [small_run.name, "other", "mean"]


def test_runs_with_different_vocabularies_cannot_be_averaged(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    trained(small_data, tmp_path / "fewer", "vocabulary.min_count=9", "training.epochs=1")
    with pytest.raises(RecipeError, match=r"fewer has another vocabulary than"):
        trained(small_data, tmp_path / "both", f'training.start=["{small_run}", "{tmp_path / "fewer"}"]')


def test_a_decoder_is_trained_further_on_another_encoder(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    start = load_file(small_run / checkpoint.BEST)
    weights = trained(
        small_data,
        tmp_path / "other",
        f"training.start={small_run}",
        "encoder.name=test_resnet",
        "training.learning_rate=1e-9",
    )
    reads = "decoder.project_grid.0.weight"
    assert weights[reads].shape != start[reads].shape
    assert weights.keys() != start.keys()
    for name, value in weights.items():
        if not name.startswith("encoder.") and name != reads:
            torch.testing.assert_close(value, start[name], rtol=0, atol=1e-5)
    with pytest.raises(RecipeError, match="is another model"):
        trained(
            small_data, tmp_path / "size", f"training.start={small_run}", "encoder.name=test_resnet", "decoder.size=8"
        )


def test_a_run_of_another_model_is_refused_as_a_start(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is another model"):
        trained(small_data, tmp_path / "other", f"training.start={small_run}", "decoder.name=merge")
    with pytest.raises(RunError, match="is not a run"):
        trained(small_data, tmp_path / "none", f"training.start={tmp_path}")
