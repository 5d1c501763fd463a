"""The files of a run: ``checkpoints/last.ckpt``, which ``--resume`` reads, ``best.safetensors``, and the metrics.

After each epoch first the best weights are written, then the metrics, curves and samples, and the checkpoint last. Each
file is replaced in one step, so a run that is killed at any moment resumes from its last complete epoch.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from looksay.atomic_files import replacing
from looksay.errors import RunError
from looksay.training.module import MONITOR, CaptionModule

RECIPE, VOCABULARY = "recipe.toml", "vocabulary.json"
METRICS, CURVES, SAMPLES = "metrics.jsonl", "curves.png", "samples"
BEST, LAST = "best.safetensors", "checkpoints/last.ckpt"
_SET_SCORE = "_CIDEr-D"  # ends the name of a data set's score in a mixture: val_flickr8k_CIDEr-D

log = logging.getLogger(__name__)


def read(run: Path) -> list[dict[str, Any]]:
    """Return the metrics of a run, one row for each epoch."""
    if not (run / METRICS).is_file():
        return []
    return [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces a checkpoint in one step, and loads it without running code from it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write a checkpoint."""
        with _replacing(Path(path)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:  # noqa: ARG002
        """Read a checkpoint; a file that is damaged or is not a checkpoint raises a RunError."""
        try:
            checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
            checkpoint["state_dict"].keys()
        except Exception as error:  # torch raises errors of many kinds
            raise RunError(f"{path} is damaged or not a checkpoint: copy the run again") from error
        return checkpoint


class LastCheckpoint(ModelCheckpoint):
    """``checkpoints/last.ckpt``: all that a resumed run needs."""

    def __init__(self, run: Path) -> None:
        path = run / LAST
        super().__init__(path.parent, path.stem, save_on_train_epoch_end=True, enable_version_counter=False)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: earlier scores are in the metrics, and Lightning's paths are wrong once a run has moved."""
        return {}


class RunRecord(Checkpoint):
    """The best weights, ``metrics.jsonl``, ``curves.png``, a page of samples and a log line for each epoch.

    The best weights are those with the best val CIDEr-D; `average` returns them if a moving average is validated.
    """

    def __init__(self, run: Path, average: Callable[[], dict[str, Tensor]] | None = None) -> None:
        self._run, self._average = run, average
        self._start = time.monotonic()

    def on_train_epoch_start(self, *_: object) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch."""
        if isinstance(pl_module, CaptionModule):
            self.write(trainer, pl_module, trainer.current_epoch + 1)

    def write(self, trainer: lightning.Trainer, module: CaptionModule, epoch: int) -> None:
        """Record an epoch, or as epoch 0 the validation of a model that is not trained."""
        from looksay.training import progress

        metrics = trainer.callback_metrics  # on all devices, which compute them together
        if not trainer.is_global_zero:
            return
        row: dict[str, Any] = {"epoch": epoch, "step": trainer.global_step}
        row |= {name: round(float(value), 6) for name, value in sorted(metrics.items())}
        rows = [*(earlier for earlier in read(self._run) if earlier["epoch"] < epoch), row]
        is_best = row[MONITOR] == max(earlier[MONITOR] for earlier in rows)  # the later of equals: at a lower rate
        if is_best:
            weights = self._average() if self._average else module.model.state_dict()
            # safetensors wants each tensor contiguous and not shared with another.
            copies = {name: value.clone(memory_format=torch.contiguous_format) for name, value in weights.items()}
            with _replacing(self._run / BEST) as file:
                save_file(copies, file)
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"] if epoch else 0.0
        row["seconds"] = round(time.monotonic() - self._start, 1)
        with _replacing(self._run / METRICS) as file:
            file.write_text("".join(json.dumps(line) + "\n" for line in rows), encoding="utf-8")
        val = module.data.val_data
        with _replacing(self._run / CURVES) as file:
            lengths = [len(caption.tokens) for caption in module.captions.values()]
            progress.curves(rows, {"references": val.lengths(), "the model": lengths}, file)
        with _replacing(self._run / SAMPLES / f"epoch-{epoch:02}.html") as file:
            progress.sample_page(val, {index: module.captions[index] for index in module.sample_indices}, row, file)
        by_set = {key[4 : -len(_SET_SCORE)]: row[key] for key in row if key.endswith(_SET_SCORE) and key != MONITOR}
        log.info(
            "epoch %d: %sval loss %.3f, word accuracy %.3f, BLEU-4 %.1f, CIDEr-D %.1f%s%s, %.0f s",
            epoch,
            f"loss {row['train_loss']:.3f}, " if epoch else "",
            row["val_loss"],
            row["val_word_accuracy"],
            100 * row["val_BLEU-4"],
            100 * row[MONITOR],
            "".join(f", {name} {100 * value:.1f}" for name, value in by_set.items()),
            " (best)" if is_best else "",
            row["seconds"],
        )


def best_weights(run: Path) -> dict[str, Tensor]:
    """Return the best weights of a run."""
    try:
        return load_file(run / BEST)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{run / BEST} is not a valid safetensors file ({error}): copy the run again") from error


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `file`; a full disk or missing rights raise a RunError."""
    try:
        with replacing(file) as temporary:
            yield temporary
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors raise errors of their own
        raise RunError(
            f"{file} cannot be written ({error}); the files of the epoch before are kept: "
            "free space, then continue with --resume"
        ) from error
