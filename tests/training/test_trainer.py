"""Training reuses its memory; the moving average of the weights has its decay and device, and leaves training alone."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from test_caption_dataset import setup

from looksay.training.module import CaptionModule
from looksay.training.trainer import MovingAverage, freed_memory_kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_a_step_reuses_the_memory_of_the_last_one_which_is_given_back_at_the_end() -> None:
    import resource  # not on Windows

    def new_pages(steps: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(steps):
            torch.ones(48 << 20, dtype=torch.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    returned = new_pages(8)
    with freed_memory_kept():
        new_pages(8)
        assert new_pages(8) < returned / 2
        before = resident()
    assert resident() < before - (40 << 20)


def test_the_decay_warms_up_after_a_random_initialisation() -> None:
    warm = MovingAverage(0.6, warmup=True)
    assert [warm.decay_after(steps) for steps in (1, 5, 1000)] == pytest.approx([2 / 11, 0.4, 0.6])
    assert MovingAverage(0.6, warmup=False).decay_after(1) == 0.6


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_the_average_has_the_device_and_dtype_of_the_weights_and_moves_by_the_decay(small_data: Path) -> None:
    tiny = setup(small_data, "training.batch_size=8", "training.epochs=1")
    module = CaptionModule(tiny.model, tiny.recipe, tiny.vocabulary)
    steps: list[dict[str, torch.Tensor]] = []

    class Recorder(MovingAverage):
        def on_train_batch_end(self, *arguments: object) -> None:
            steps.append({name: value.clone() for name, value in tiny.model.state_dict().items()})
            super().on_train_batch_end(*arguments)  # type: ignore[arg-type]

    average = Recorder(0.75, warmup=False)
    trainer = Trainer(
        max_epochs=1, limit_val_batches=0, accelerator="cpu", callbacks=[average], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=tiny.data)
    for name, value in average.weights().items():
        assert (value.device, value.dtype) == (trainer.strategy.root_device, steps[0][name].dtype)
        torch.testing.assert_close(value, 0.75 * steps[0][name] + 0.25 * steps[1][name], msg=name)
