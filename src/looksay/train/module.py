"""One step of learning and one look at the val split, for Lightning."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from looksay.metrics import Scorer
from looksay.nets.model import CaptionModel
from looksay.train.batches import Batch, Pictures, TrainBatches, ValBatches
from looksay.train.config import Recipe
from looksay.train.losses import cross_entropy, doubly_stochastic, word_accuracy
from looksay.vocabulary import Vocabulary

DECIDING = "val_CIDEr-D"
"""The metric that chooses the checkpoint, of captions as they are really decoded."""


class CaptionModule(lightning.LightningModule):
    """Teaches a `CaptionModel`.

    Parameters
    ----------
    model : CaptionModel
    recipe : Recipe
    vocabulary : Vocabulary
    train, val : Pictures

    Attributes
    ----------
    said : dict of int to str
        The captions of the last look at the val split, by the picture's place in it.
    """

    def __init__(
        self, model: CaptionModel, recipe: Recipe, vocabulary: Vocabulary, train: Pictures, val: Pictures
    ) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.vocabulary = vocabulary
        self.pictures = {"train": train, "val": val}
        self.said: dict[int, str] = {}
        self._decoding = 0.0  # seconds
        self._scorer = Scorer([record.references for record in val.records])

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of this epoch (the trainer asks anew each epoch)."""
        return DataLoader(
            TrainBatches(self.pictures["train"], self.recipe.training, self.current_epoch), batch_size=None
        )

    def val_dataloader(self) -> DataLoader[tuple[Batch, list[int]]]:
        """Return the batches of the val split."""
        return DataLoader(ValBatches(self.pictures["val"], self.recipe.training), batch_size=None)

    def on_train_epoch_start(self) -> None:
        """Let the encoder learn once its frozen epochs are over."""
        options = self.recipe.encoder
        self.model.encoder.learn(options.trainable and self.current_epoch >= options.frozen_epochs)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Draw dropout from the seed and the step, so that a resumed run is the run it continues."""
        torch.manual_seed(self.recipe.training.seed + self.global_step)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        options = self.recipe.training
        own_words = options.scheduled_sampling * self.current_epoch / max(1, options.epochs - 1)
        scores, attention = self.model.decoder(self._grid(batch), batch.tokens, own_words)
        loss = cross_entropy(scores, batch.targets, options.label_smoothing)
        if options.doubly_stochastic:
            loss = loss + options.doubly_stochastic * doubly_stochastic(attention, batch.targets)
        self._log("train", batch, loss=loss, word_accuracy=word_accuracy(scores, batch.targets))
        return loss

    def validation_step(self, item: tuple[Batch, list[int]], _: int) -> None:
        """Measure the loss of a batch, and caption its pictures."""
        batch, indices = item
        grid = self._grid(batch)
        scores, _ = self.model.decoder(grid, batch.tokens)
        self._log(
            "val",
            batch,
            loss=cross_entropy(scores, batch.targets, self.recipe.training.label_smoothing),
            word_accuracy=word_accuracy(scores, batch.targets),
        )
        start = time.perf_counter()
        captions = self.model.captions(grid, self.vocabulary, self.recipe.search)
        self._decoding += time.perf_counter() - start
        for index, found in zip(indices, captions, strict=True):
            self.said[index] = self.vocabulary.decode(found[0].tokens)

    def on_validation_epoch_end(self) -> None:
        """Score the captions."""
        self.log("val_captions_a_second", len(self.said) / self._decoding)
        self._decoding = 0.0
        scores = self._scorer.scores([self.said[index] for index in sorted(self.said)])
        for name, value in scores.items():
            self.log(f"val_{name}", value, prog_bar=f"val_{name}" == DECIDING)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW; the learning rate warms up and then falls as a cosine."""
        options = self.recipe.training
        optimizer = AdamW(
            [
                *_groups(self.model.decoder.parameters(), options.learning_rate, options.weight_decay),
                *_groups(self.model.encoder.parameters(), self.recipe.encoder.learning_rate, options.weight_decay),
            ]
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(options.warmup * steps))
        schedule = LambdaLR(optimizer, lambda step: warm_cosine(step, warmup, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _grid(self, batch: Batch) -> Tensor:
        grid: Tensor = self.model.encoder(batch.pictures) if self.recipe.encoder.trainable else batch.pictures
        return grid

    def _log(self, split: str, batch: Batch, **values: Tensor) -> None:
        self.log_dict(
            {f"{split}_{name}": value for name, value in values.items()},
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(batch.pictures),
        )


def warm_cosine(step: int, warmup: int, steps: int) -> float:
    """Return the part of the learning rate at a step: a line from 0 to 1, then a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup)))) / 2


def _groups(parameters: Any, learning_rate: float, weight_decay: float) -> Sequence[dict[str, Any]]:
    """Split parameters that learn into matrices, which decay, and biases and scales, which do not."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    matrices = [parameter for parameter in learning if parameter.ndim > 1]
    others = [parameter for parameter in learning if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "lr": learning_rate, "weight_decay": weight_decay},
        {"params": others, "lr": learning_rate, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
