"""One step of learning and one look at the val split, for Lightning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from looksay.metrics import Scorer
from looksay.models.caption_model import CaptionModel
from looksay.text.vocabulary import Vocabulary
from looksay.training.batches import Batch, CaptionDataset, Part, TrainBatches, ValBatches
from looksay.training.losses import cross_entropy, distillation, doubly_stochastic, self_critical, word_accuracy
from looksay.training.recipe import Recipe
from looksay.training.scst import Reward
from looksay.types import Caption

MONITOR = "val_CIDEr-D"
"""The metric that chooses the checkpoint, of captions as they are really decoded; of several val sets the mean."""

_SHOWN = 24


class CaptionModule(lightning.LightningModule):
    """Teaches a `CaptionModel`.

    Parameters
    ----------
    model : CaptionModel
    recipe : Recipe
    vocabulary : Vocabulary
    train, val : CaptionDataset

    Attributes
    ----------
    said : dict of int to Caption
        The captions of the last look at the val split, by the image's place in it.
    shown : list of int
        The places of the images that a page of samples shows, spread evenly over the split; their captions have
        attention maps.
    """

    def __init__(
        self, model: CaptionModel, recipe: Recipe, vocabulary: Vocabulary, train: CaptionDataset, val: CaptionDataset
    ) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.vocabulary = vocabulary
        self.images = {"train": train, "val": val}
        self.said: dict[int, Caption] = {}
        self.shown = np.linspace(0, len(val) - 1, min(_SHOWN, len(val))).round().astype(int).tolist()
        self._decoding = 0.0  # seconds
        sources = [record.source for record in val.records]
        self._places = {
            name: [p for p, source in enumerate(sources) if source == name] for name in dict.fromkeys(sources)
        }
        self._scorers = {
            name: Scorer([val.records[place].references for place in places]) for name, places in self._places.items()
        }

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of this epoch (the trainer asks anew each epoch)."""
        batches = TrainBatches(self.images["train"], self.recipe, self.current_epoch, self._part())
        return DataLoader(batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the val split."""
        batches = ValBatches(self.images["val"], self.recipe, self.current_epoch, self._part())
        return DataLoader(batches, batch_size=None)

    def _part(self) -> Part:
        """Return which share of every batch this device has."""
        return Part(self.global_rank, self.trainer.world_size)

    def on_train_epoch_start(self) -> None:
        """Let as much of the encoder learn as is its turn."""
        self.model.encoder.learn(self.recipe.encoder.unfrozen_stages(self.current_epoch))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Draw dropout from the seed and the batch, so that a resumed run is the run it continues."""
        more = [self.global_rank] if self.global_rank else []  # devices forget different things
        draw = np.random.SeedSequence([self.recipe.training.seed, self.current_epoch, batch_idx, *more])
        torch.manual_seed(int(draw.generate_state(1, np.uint64)[0] >> 1))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        options = self.recipe.training
        own_words = options.scheduled_sampling * self.current_epoch / max(1, options.epochs - 1)
        grid = self.model.grid(batch.images)
        outputs, attention = self.model.decoder(grid, batch.tokens, own_words, batch.going)
        loss = self._cross_entropy("train", batch, outputs)
        if options.doubly_stochastic:
            loss = loss + options.doubly_stochastic * doubly_stochastic(attention, batch.targets)
        self._log("train", batch, loss=loss)
        loss = loss * batch.weight
        return self._with_own_captions(batch, grid, loss) if self.recipe.self_critical.samples else loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Measure the loss of a batch, and caption its images."""
        grid = self.model.grid(batch.images)
        outputs, _ = self.model.decoder(grid, batch.tokens, going=batch.going)
        self._log("val", batch, loss=self._cross_entropy("val", batch, outputs))
        start = time.perf_counter()
        captions = self.model.captions(grid, self.vocabulary, self.recipe.decoding)
        self._decoding += time.perf_counter() - start
        for row, (index, found) in enumerate(zip(batch.places, captions, strict=True)):
            looked = self._look(grid[row], found[0].tokens) if index in self.shown else None
            words = self.vocabulary.to_tokens(found[0].tokens)
            self.said[index] = Caption(self.vocabulary.decode(found[0].tokens), words, found[0].log_prob, looked)

    def on_validation_epoch_start(self) -> None:
        """Forget what was said in the epoch before: on each of several devices that would be of other images, too."""
        self.said = {}

    def on_validation_epoch_end(self) -> None:
        """Score the captions of all devices, once."""
        self.said = dict(sorted(self._of_all_devices(self.said).items()))
        self.log("val_captions_a_second", len(self.said) / self._decoding, sync_dist=True)
        self._decoding = 0.0
        scores = self._scores() if not self.global_rank else {}
        for name, value in self.trainer.strategy.broadcast(scores).items():
            self.log(f"val_{name}", value, prog_bar=f"val_{name}" == MONITOR, sync_dist=True)

    def _scores(self) -> dict[str, float]:
        """Return the scores of what was said; of a mixture those of each set by name, and their means."""
        of_sets = {
            name: scorer.scores([self.said[place].text for place in self._places[name]])
            for name, scorer in self._scorers.items()
        }
        metrics = next(iter(of_sets.values()))
        scores = {metric: sum(of_one[metric] for of_one in of_sets.values()) / len(of_sets) for metric in metrics}
        if len(of_sets) > 1:
            scores |= {f"{name}_{metric}": of_sets[name][metric] for name in of_sets for metric in metrics}
        return scores

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW; each part's learning rate warms up when the part begins to learn, and then falls as a cosine."""
        options, encoder = self.recipe.training, self.recipe.encoder
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(options.warmup * steps))
        learning = [parameter for parameter in self.model.decoder.parameters() if parameter.requires_grad]
        parts = [(0, options.learning_rate, learning)]
        stages = self.model.encoder.stages() if encoder.trainable else []
        for place, stage in enumerate(reversed(stages)):
            begins = next((e for e in range(options.epochs) if encoder.unfrozen_stages(e) > place), None)
            if begins is not None:
                parts.append((begins, encoder.learning_rate * encoder.layer_decay**place, stage))
        groups: list[dict[str, Any]] = []
        schedules: list[Callable[[int], float]] = []
        for begins, rate, parameters in parts:
            rising = partial(warm_cosine, first=begins * steps // options.epochs, warmup=warmup, steps=steps)
            for group in _groups(parameters, rate, options.weight_decay):
                groups.append(group)
                schedules.append(rising)
        optimizer = AdamW(groups)
        schedule = LambdaLR(optimizer, schedules)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _with_own_captions(self, batch: Batch, grid: Tensor, loss: Tensor) -> Tensor:
        """Add to the loss of people's captions that of captions which the model draws."""
        options, words, images = self.recipe.self_critical, self.vocabulary, self.images["train"]
        said, log_probs = self.model.decoder.draw(
            grid, options.samples, start=words.start, end=words.end, max_length=self.recipe.training.max_length
        )
        rewards = self._reward(images.unmirrored(said, batch.mirrored), batch.places)
        self._log("train", batch, reward=rewards.mean())
        own = self_critical(log_probs, said, rewards, options.samples)
        return options.cross_entropy * loss + (1 - options.cross_entropy) * own

    @cached_property
    def _reward(self) -> Reward:
        return Reward(self.images["train"].references(), self.vocabulary)

    def _cross_entropy(self, split: str, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the mean loss of the words to say, and log how many are right."""
        scores, targets = self.model.decoder.output_head(outputs[batch.counted]), batch.targets[batch.counted]
        self._log(split, batch, word_accuracy=word_accuracy(scores, targets))
        loss = cross_entropy(scores, targets, self.recipe.training.label_smoothing)
        if batch.soft is None:
            return loss
        weight = self.recipe.distillation.weight
        return (1 - weight) * loss + weight * distillation(scores, *batch.soft)

    def _look(self, grid: Tensor, words: Sequence[int]) -> NDArray[np.float32]:
        """Return the attention at each word of a caption: (words, rows, columns)."""
        read = torch.tensor([[self.vocabulary.start, *words]], device=grid.device)
        _, attention = self.model.decoder(grid[None], read)
        maps: NDArray[np.float32] = attention[0, : len(words)].float().cpu().numpy()
        return maps.reshape(-1, *self.model.encoder.grid)

    def _of_all_devices(self, said: dict[int, Caption]) -> dict[int, Caption]:
        """Return what was said on every device."""
        if self.trainer.world_size == 1:
            return said
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, said)
        return {place: caption for part in parts for place, caption in part.items()}

    def _log(self, split: str, batch: Batch, **values: Tensor) -> None:
        self.log_dict(
            {f"{split}_{name}": value for name, value in values.items()},
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            sync_dist=True,
            # The mean over devices of their number of words is a whole number to Lightning: it cuts off what is left.
            batch_size=batch.words * self.trainer.world_size,
        )


def warm_cosine(step: int, *, first: int, warmup: int, steps: int) -> float:
    """Return the part of the learning rate at a step: from step `first` on a line from 0 to 1, then a cosine to 0."""
    if step < first:
        return 0.0
    warmup = max(1, min(warmup, (steps - first) // 2))
    if step < first + warmup:
        return (step - first + 1) / warmup
    return (1 + math.cos(math.pi * min(1.0, (step - first - warmup) / max(1, steps - first - warmup)))) / 2


def _groups(parameters: Sequence[Parameter], learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Split parameters into matrices, which decay, and biases and scales, which do not."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "lr": learning_rate, "weight_decay": weight_decay},
        {"params": others, "lr": learning_rate, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
