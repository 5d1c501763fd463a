"""Exponential moving average (EMA) of the weights, which are validated and kept."""

from __future__ import annotations

from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from looksay.training.module import CaptionModule


class MovingAverage(WeightAveraging):
    """Lightning's weight averaging on the device of training, with a decay that can warm up.

    `warmup` uses ``min(decay, (1 + n) / (10 + n))`` after `n` steps, as TensorFlow's ``ExponentialMovingAverage`` does,
    so that a random initialisation is soon forgotten.
    """

    def __init__(self, decay: float, *, warmup: bool) -> None:
        super().__init__(use_buffers=False, multi_avg_fn=self._update)  # BatchNorm keeps its statistics
        self._decay, self._warmup = decay, warmup

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Create the average on the device of training, to which the model itself moves only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:  # torch reads this count at each step, which would wait for a GPU
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def decay_after(self, steps: int) -> float:
        """Return the decay after a number of steps."""
        return min(self._decay, (1 + steps) / (10 + steps)) if self._warmup else self._decay

    def _update(self, averages: Any, weights: Any, _: Tensor | int) -> None:
        torch._foreach_lerp_(averages, weights, 1 - self.decay_after(self._latest_update_step))

    def weights(self) -> dict[str, Tensor]:
        """Return the averaged weights of the `CaptionModel`."""
        if self._average_model is None:
            raise RuntimeError("there is no average before training starts")
        return cast("CaptionModule", self._average_model.module).model.state_dict()
