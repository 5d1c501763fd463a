"""What a run writes down after each epoch: metrics, curves, samples and weights."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from looksay.atomic_files import replacing
from looksay.errors import RunError
from looksay.training import curves, sample_page
from looksay.training.module import MONITOR, CaptionModule
from looksay.training.weight_averaging import MovingAverage

METRICS = "metrics.jsonl"
CURVES = "curves.png"
SAMPLES = "samples"
BEST = "best.safetensors"
LAST = "last.ckpt"
_OF_A_SET = "_CIDEr-D"  # ends the name of a set's score in a mixture: val_flickr8k_CIDEr-D

log = logging.getLogger(__name__)


class Journal(lightning.Callback):
    """Keeps the folder of a run.

    Each file is replaced in one step, and the checkpoint last of all, so that a run that is killed at any moment
    goes on from its last whole epoch.

    Parameters
    ----------
    run : Path
    average : MovingAverage, optional
        Where the weights come from that are judged and kept.
    """

    def __init__(self, run: Path, average: MovingAverage | None = None) -> None:
        self.run = run
        self._average = average
        self._started = time.monotonic()

    def on_train_epoch_start(self, *_: object) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Write the epoch down."""
        if isinstance(module, CaptionModule):
            self.write(trainer, module, trainer.current_epoch + 1)

    def write(self, trainer: lightning.Trainer, module: CaptionModule, epoch: int) -> None:
        """Write down an epoch, or as epoch 0 what was there before any; of several devices the first one does."""
        means = dict(sorted(trainer.callback_metrics.items()))  # all devices take part in them, and in the checkpoint
        if not trainer.is_global_zero:
            if epoch:
                trainer.save_checkpoint(self.run / LAST)
            return
        row = {
            "epoch": epoch,
            "step": trainer.global_step,
            **{name: round(float(value), 6) for name, value in means.items()},
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"] if epoch else 0.0,
            "seconds": round(time.monotonic() - self._started, 1),
        }
        earlier = [past for past in read(self.run) if past["epoch"] < epoch]
        # In a tie the later weights win: they have seen more at a lower rate.
        is_best = row[MONITOR] >= max((past[MONITOR] for past in earlier), default=float("-inf"))
        try:
            self._put(trainer, module, [*earlier, row], is_best=is_best)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have errors of their own
            raise RunError(
                f"{self.run} cannot be written ({error}); what it had after the epoch before is still there: "
                "make space, and go on with --resume"
            ) from error
        learned = f"loss {row['train_loss']:.3f}, " if epoch else ""
        apart = {key[4 : -len(_OF_A_SET)]: row[key] for key in row if key.endswith(_OF_A_SET) and key != MONITOR}
        log.info(
            "epoch %d: %sval loss %.3f, word accuracy %.3f, BLEU-4 %.1f, CIDEr-D %.1f%s%s, %.0f s",
            epoch,
            learned,
            row["val_loss"],
            row["val_word_accuracy"],
            100 * row["val_BLEU-4"],
            100 * row[MONITOR],
            "".join(f", {name} {100 * value:.1f}" for name, value in apart.items()),
            " (best)" if is_best else "",
            row["seconds"],
        )

    def _put(
        self, trainer: lightning.Trainer, module: CaptionModule, rows: list[dict[str, Any]], *, is_best: bool
    ) -> None:
        """Write the files, the checkpoint last."""
        if is_best:
            weights = {  # each whole and its own, as safetensors wants it: words may be tied
                name: value.clone(memory_format=torch.contiguous_format)
                for name, value in (self._average.weights() if self._average else module.model.state_dict()).items()
            }
            with replacing(self.run / BEST) as file:
                save_file(weights, file)
        with replacing(self.run / METRICS) as file:
            file.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
        with replacing(self.run / CURVES) as file:
            said = [len(caption.tokens) for caption in module.said.values()]
            lengths = {"people": module.images["val"].lengths(), "the model": said}
            curves.curves(rows, lengths, file)
        with replacing(self.run / SAMPLES / f"epoch-{rows[-1]['epoch']:02}.html") as file:
            sample_page.page(module, rows[-1], file)
        if rows[-1]["epoch"]:
            with replacing(self.run / LAST) as file:
                trainer.save_checkpoint(file)


def read(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's metrics, one an epoch."""
    if not (run / METRICS).is_file():
        return []
    return [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
