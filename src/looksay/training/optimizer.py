"""AdamW with a learning rate for each part of the model, warm-up and cosine decay."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from looksay.models.caption_model import CaptionModel
from looksay.training.sections import EncoderOptions, TrainingOptions


def configure(
    model: CaptionModel, training: TrainingOptions, encoder: EncoderOptions, steps: int
) -> tuple[AdamW, LambdaLR]:
    """Return the optimizer and its schedule over a number of steps.

    Each encoder stage has a learning rate of its own (layer-wise decay) that warms up when the stage is unfrozen.
    """
    warmup = max(1, round(training.warmup * steps))
    own = [*model.decoder.parameters(), *(model.detector.parameters() if model.detector else ())]
    trained = [parameter for parameter in own if parameter.requires_grad]
    parts = [(0, training.learning_rate, trained)]
    for place, stage in enumerate(reversed(model.encoder.stages() if encoder.trainable else [])):
        epochs = (epoch for epoch in range(training.epochs) if encoder.unfrozen_stages(epoch) > place)
        first = next(epochs, None)
        if first is not None:
            parts.append((first, encoder.learning_rate * encoder.layer_decay**place, stage))
    groups: list[dict[str, Any]] = []
    schedules: list[Callable[[int], float]] = []
    for epoch, rate, parameters in parts:
        schedule = partial(warmup_cosine, first=epoch * steps // training.epochs, warmup=warmup, steps=steps)
        matrices = [parameter for parameter in parameters if parameter.ndim > 1]
        others = [parameter for parameter in parameters if parameter.ndim <= 1]  # biases and scales
        for group, decay in ((matrices, training.weight_decay), (others, 0.0)):
            if group:
                groups.append({"params": group, "lr": rate, "weight_decay": decay})
                schedules.append(schedule)
    optimizer = AdamW(groups)
    return optimizer, LambdaLR(optimizer, schedules)


def warmup_cosine(step: int, *, first: int, warmup: int, steps: int) -> float:
    """Return the factor of the learning rate: 0 before step `first`, a linear warm-up to 1, then a cosine to 0."""
    if step < first:
        return 0.0
    warmup = max(1, min(warmup, (steps - first) // 2))
    if step < first + warmup:
        return (step - first + 1) / warmup
    return (1 + math.cos(math.pi * min(1.0, (step - first - warmup) / max(1, steps - first - warmup)))) / 2
