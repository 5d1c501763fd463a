"""A moving average of the weights: the model that is judged and kept."""

from __future__ import annotations

from typing import cast

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from looksay.train.module import CaptionModule


class MovingAverage(WeightAveraging):
    """Lightning's averaging, with a decay that grows in the first steps so that the start is soon forgotten.

    After `n` steps the average keeps ``min(decay, (1 + n) / (10 + n))`` of itself, as TensorFlow's
    ``ExponentialMovingAverage`` does.

    Parameters
    ----------
    decay : float
        From 0 to below 1.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            return averaged.lerp(current, 1 - min(decay, (1 + int(count)) / (10 + int(count))))

        super().__init__(use_buffers=False, avg_fn=average)  # BatchNorm keeps its statistics as they are

    def weights(self) -> dict[str, Tensor]:
        """Return the averaged weights of the `CaptionModel`."""
        if self._average_model is None:
            raise RuntimeError("there is no average before training begins")
        averaged = cast("CaptionModule", self._average_model.module)
        return averaged.model.state_dict()
