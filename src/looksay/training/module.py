"""The Lightning module: a training step, and the validation of decoded captions."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from numpy.typing import NDArray
from torch import Tensor, distributed

from looksay.data.records import by_source
from looksay.errors import RunError
from looksay.metrics import Scorer
from looksay.metrics.diversity import diversity, weaknesses
from looksay.models.caption_model import CaptionModel
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training import losses, optimizer
from looksay.training.caption_dataset import Batch
from looksay.training.datamodule import CaptionDataModule
from looksay.training.recipe import Recipe
from looksay.types import Caption

if TYPE_CHECKING:
    from looksay.metrics.word_precision import WordPrecision
    from looksay.models.word_detector import WordDetector
    from looksay.training.scst import Reward

MONITOR = "val_CIDEr-D"
"""The metric that selects the best checkpoint, of decoded captions; of several val sets, their mean."""

_SAMPLES = 24

log = logging.getLogger(__name__)


class CaptionModule(lightning.LightningModule):
    """Trains a `CaptionModel` on the batches of a `CaptionDataModule`.

    `captions` are those of the last validation by the index of their image in the val split.
    """

    def __init__(self, model: CaptionModel, recipe: Recipe, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.model, self.recipe, self.vocabulary = model, recipe, vocabulary
        self.captions: dict[int, Caption] = {}
        self._decoding_seconds = 0.0

    # The data and what is computed from it stay out of __init__: the moving average is a copy of this module.
    @property
    def data(self) -> CaptionDataModule:
        """The data module of the trainer."""
        return cast("CaptionDataModule", self.trainer.datamodule)  # type: ignore[attr-defined]

    @cached_property
    def sample_indices(self) -> list[int]:
        """The val images of the sample pages, evenly spaced over the split; they get attention maps."""
        count = len(self.data.val_data)
        return [round(index) for index in np.linspace(0, count - 1, min(_SAMPLES, count)).tolist()]

    @cached_property
    def _scorers(self) -> dict[str, tuple[list[int], Scorer, WordPrecision]]:
        """The indices of the val images of each data set, and what scores their captions."""
        from looksay.metrics.word_precision import WordPrecision

        records, scorers = self.data.val_data.records, {}
        for name, indices in by_source(records).items():
            scorer = Scorer([records[index].references for index in indices])
            scorers[name] = indices, scorer, WordPrecision(scorer.references)
        return scorers

    @cached_property
    def _reward(self) -> Reward:
        from looksay.training.scst import Reward

        return Reward(self.data.train_data.references(), self.vocabulary, self.recipe.self_critical.word_precision)

    def on_train_epoch_start(self) -> None:
        """Unfreeze the encoder stages that are due."""
        self.model.encoder.unfreeze(self.recipe.encoder.unfrozen_stages(self.current_epoch))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Seed dropout and sampling from the batch number, so that a resumed run repeats the original exactly."""
        rank = [self.global_rank] if self.global_rank else []  # dropout differs between devices
        seed = np.random.SeedSequence([self.recipe.training.seed, self.current_epoch, batch_idx, *rank])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        options, scst = self.recipe.training, self.recipe.self_critical
        sampling_prob = options.scheduled_sampling * self.current_epoch / max(1, options.epochs - 1)
        grid, words = self.model.encode(batch.images)
        outputs, attention = self.model.decoder(grid, batch.tokens, sampling_prob, self._active(batch))
        loss = self._cross_entropy("train", batch, outputs)
        if options.doubly_stochastic:
            loss = loss + options.doubly_stochastic * losses.doubly_stochastic(attention, batch.targets)
        self._log("train", batch, loss=loss)
        if words is not None:
            loss = loss + self.recipe.detector.weight * self._detection_loss("train", batch, words)
        loss = loss * batch.weight
        if scst.samples:
            loss = scst.cross_entropy * loss + (1 - scst.cross_entropy) * self._self_critical_loss(batch, grid)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Compute the loss of a batch, and decode captions of its images."""
        grid, words = self.model.encode(batch.images)
        outputs, _ = self.model.decoder(grid, batch.tokens, active=self._active(batch))
        self._log("val", batch, loss=self._cross_entropy("val", batch, outputs))
        if words is not None:
            self._detection_loss("val", batch, words)
        start = time.perf_counter()
        hypotheses = self.model.captions(grid, self.vocabulary, self.recipe.decoding)
        self._decoding_seconds += time.perf_counter() - start
        for row, index in enumerate(batch.indices):
            best = hypotheses[row][0]
            attention = self._attention(grid[row], best.tokens) if index in self.sample_indices else None
            tokens = self.vocabulary.to_tokens(best.tokens)
            self.captions[index] = Caption(self.vocabulary.decode(best.tokens), tokens, best.log_prob, attention)

    def on_validation_epoch_start(self) -> None:
        """Drop the captions of the last validation, which on each of several devices are of other images."""
        self.captions = {}

    def on_validation_epoch_end(self) -> None:
        """Score the captions of all devices."""
        if self.trainer.world_size > 1:
            parts: list[Any] = [None] * self.trainer.world_size
            distributed.all_gather_object(parts, self.captions)
            self.captions = {index: caption for part in parts for index, caption in part.items()}
        self.captions = dict(sorted(self.captions.items()))
        self.log("val_captions_a_second", len(self.captions) / self._decoding_seconds, sync_dist=True)
        self._decoding_seconds = 0.0
        scores = self._scores() if not self.global_rank else {}
        for name, value in self.trainer.strategy.broadcast(scores).items():
            self.log(f"val_{name}", value, prog_bar=f"val_{name}" == MONITOR, sync_dist=True)

    def on_fit_end(self) -> None:
        """Log what is wrong with the form of the captions."""
        if not self.captions:
            return
        measures = diversity([caption.tokens for caption in self.captions.values()], [])
        for weakness in weaknesses(measures, len(self.captions)):
            log.warning("val captions of the last epoch: %s", weakness)

    def _scores(self) -> dict[str, float]:
        """Score and measure the captions; of a mixture, return the mean over its data sets, and each set's by name."""
        by_set = {}
        for name, (indices, scorer, precision) in self._scorers.items():
            captions = [self.captions[index] for index in indices]
            words = [caption.tokens for caption in captions]
            by_set[name] = scorer.scores([caption.text for caption in captions]) | {
                "mean_length": statistics.fmean(map(len, words)),
                "distinct_words": float(len(set(chain.from_iterable(words)))),
                "word_precision": statistics.fmean(precision.image_scores(words)),
            }
        metrics = next(iter(by_set.values()))
        scores = {metric: sum(own[metric] for own in by_set.values()) / len(by_set) for metric in metrics}
        if len(by_set) > 1:
            scores |= {f"{name}_{metric}": by_set[name][metric] for name in by_set for metric in metrics}
        return scores

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """See `looksay.training.optimizer`."""
        steps = int(self.trainer.estimated_stepping_batches)
        adamw, schedule = optimizer.configure(self.model, self.recipe.training, self.recipe.encoder, steps)
        return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model."""
        if checkpoint["state_dict"].keys() != self.state_dict().keys():
            raise RunError(f"{self.trainer.ckpt_path} is of another model or version of looksay: train the run again")

    def _active(self, batch: Batch) -> tuple[tuple[int, int], ...] | None:
        """Return the rows to read at each step; all of them if compiled, which needs fixed shapes."""
        return None if self.recipe.training.compile else batch.active

    def _cross_entropy(self, split: str, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the mean loss over words, and log their accuracy."""
        logits, targets = self.model.decoder.output_head(batch.words_of(outputs)), batch.words_of(batch.targets)
        self._log(split, batch, word_accuracy=losses.word_accuracy(logits, targets))
        loss = losses.cross_entropy(logits, targets, self.recipe.training.label_smoothing if split == "train" else 0.0)
        if batch.soft_targets is None:
            return loss
        weight = self.recipe.distillation.weight
        return (1 - weight) * loss + weight * losses.distillation(logits, *batch.soft_targets)

    def _detection_loss(self, split: str, batch: Batch, logits: Tensor) -> Tensor:
        """Return the loss of the word detector, and log it."""
        data = self.data.train_data if split == "train" else self.data.val_data
        detector = cast("WordDetector", self.model.detector)
        frequencies = data.word_frequencies(batch, detector.tokens.tolist())
        loss = losses.detection(logits, torch.from_numpy(frequencies).to(logits.device))
        self._log(split, batch, detection_loss=loss)
        return loss

    def _self_critical_loss(self, batch: Batch, grid: Tensor) -> Tensor:
        """Return the loss of sampled captions."""
        captions, vocabulary = self.recipe.self_critical.samples, self.vocabulary
        sampled, log_probs = self.model.decoder.sample(
            grid, captions, start=vocabulary.start, end=vocabulary.end, max_length=self.recipe.training.max_length
        )
        tokens = self.data.train_data.unmirror(sampled.cpu().numpy(), batch.mirrored)
        rewards = torch.from_numpy(self._reward(tokens, batch.indices)).to(sampled.device)
        self._log("train", batch, reward=rewards.mean())
        words = (sampled != PADDING).sum()
        devices = self.trainer.world_size
        if devices > 1:  # the mean over devices of the losses is then the mean over the words of all devices
            distributed.all_reduce(words)
        return devices * losses.self_critical(log_probs, sampled, rewards, captions, words)

    def _attention(self, grid: Tensor, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the attention at each token of a caption: (tokens, rows, columns)."""
        inputs = torch.tensor([[self.vocabulary.start, *tokens]], device=grid.device)
        _, attention = self.model.decoder.forward(grid[None], inputs)
        maps: NDArray[np.float32] = attention[0, : len(tokens)].float().cpu().numpy()
        return maps.reshape(-1, *self.model.encoder.grid)

    def _log(self, split: str, batch: Batch, **values: Tensor) -> None:
        self.log_dict(
            {f"{split}_{name}": value for name, value in values.items()},
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            sync_dist=True,
            # Lightning averages this over devices and truncates the mean to an integer: make it one.
            batch_size=len(batch.word_indices) * self.trainer.world_size,
        )
