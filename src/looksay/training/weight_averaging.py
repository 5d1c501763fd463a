"""A moving average of the weights: the model that is judged and kept."""

from __future__ import annotations

from typing import cast

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from looksay.training.module import CaptionModule


class MovingAverage(WeightAveraging):
    """Lightning's averaging, with a decay that can grow in the first steps so that a random start is soon forgotten.

    Parameters
    ----------
    decay : float
        What the average keeps of itself in a step, from 0 to below 1.
    growing : bool
        After `n` steps it keeps ``min(decay, (1 + n) / (10 + n))``, as TensorFlow's ``ExponentialMovingAverage`` does.
    """

    def __init__(self, decay: float, *, growing: bool) -> None:
        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            kept = min(decay, (1 + int(count)) / (10 + int(count))) if growing else decay
            return averaged.lerp(current, 1 - kept)

        super().__init__(use_buffers=False, avg_fn=average)  # BatchNorm keeps its statistics as they are

    def weights(self) -> dict[str, Tensor]:
        """Return the averaged weights of the `CaptionModel`."""
        if self._average_model is None:
            raise RuntimeError("there is no average before training begins")
        averaged = cast("CaptionModule", self._average_model.module)
        return averaged.model.state_dict()
