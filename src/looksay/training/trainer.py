"""The Lightning trainer of a recipe's ``[training]`` section, its early stopping and its average of weights (EMA)."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from looksay.training.checkpoint import LAST, AtomicCheckpointIO, LastCheckpoint, RunRecord
from looksay.training.datamodule import CaptionDataModule
from looksay.training.feature_cache import precision
from looksay.training.module import MONITOR, CaptionModule
from looksay.training.sections import TrainingOptions

log = logging.getLogger(__name__)

_TIMEOUT = timedelta(minutes=30)  # of a process that waits for another one
# Of glibc's <malloc.h>: a parameter, its value in training and its value afterwards. These are the defaults; of
# thresholds, those that malloc adapts to after a large tensor.
_MALLOC = (
    (-4, 0, 1 << 16),  # M_MMAP_MAX
    (-1, -1, 64 << 20),  # M_TRIM_THRESHOLD
    (-2, 256 << 20, 1 << 17),  # M_TOP_PAD
    (-3, 32 << 20, 32 << 20),  # M_MMAP_THRESHOLD
)
_EXPECTED_WARNINGS = (
    "does not have many workers",  # batches come from memory-mapped files
    "in eval mode at the start of training",  # BatchNorm keeps its statistics; a frozen encoder stays in eval mode
    "Checkpoint directory .* exists and is not empty",
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning's own
)


def is_first() -> bool:
    """Return whether this process, of all that train together, is the one that writes and logs."""
    ranks = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")  # set by torchrun, SLURM and Lightning
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


def device_count(options: TrainingOptions) -> int:
    """Return the number of devices on this machine."""
    return options.devices or max(1, torch.cuda.device_count())


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc's malloc keep the memory of freed tensors for the next ones, and give it back at the end.

    By default malloc asks the system for each large tensor and returns it at once. The system then fills every page
    with zeros again, which took a quarter of a training step on the CPU. Other C libraries, and settings of the user's
    in ``MALLOC_*`` variables, are left as they are.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt") or any(name.startswith("MALLOC_") for name in os.environ):
        yield
        return
    for parameter, value, _ in _MALLOC:
        libc.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, _, value in _MALLOC:
            libc.mallopt(parameter, value)
        libc.malloc_trim(0)


def fit(
    module: CaptionModule, data: CaptionDataModule, options: TrainingOptions, run: Path, *, ddp_unused: bool
) -> None:
    """Train, from the last checkpoint of the run if there is one, or with ``epochs=0`` only validate.

    `ddp_unused`: some parameters get no gradients for a time, as encoder stages before they are unfrozen.
    """
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")  # TF32
    if options.compile:
        # A graph for each number of steps, for full and last batches, for training and validation.
        torch._dynamo.config.recompile_limit = 64
        module.model.decoder.compile(dynamic=False)
    with warnings.catch_warnings():
        for message in _EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=f".*{message}")
        has_average = options.ema_decay and options.epochs
        average = MovingAverage(options.ema_decay, warmup=not options.start) if has_average else None
        record = RunRecord(run, average.weights if average else None)
        trainer = _trainer(options, run, [*([average] if average else []), record], ddp_unused=ddp_unused)
        if options.epochs:
            last = run / LAST
            try:
                trainer.fit(module, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)
            except SystemExit:  # Lightning's answer to Ctrl-C
                if not trainer.interrupted:
                    raise
                log.warning("%s has %d complete epochs: continue it with --resume", run, trainer.current_epoch)
                raise KeyboardInterrupt from None
        else:
            trainer.validate(module, datamodule=data, verbose=False)
            record.write(trainer, module, epoch=0)
            trainer.strategy.barrier()  # the next phase reads these files on every device


def _trainer(options: TrainingOptions, run: Path, callbacks: list[Any], *, ddp_unused: bool) -> lightning.Trainer:
    has_bar = sys.stderr.isatty() and is_first()
    if has_bar:
        callbacks.append(RichProgressBar())
    if options.patience:
        callbacks.append(_EarlyStopping(MONITOR, mode="max", patience=options.patience, check_on_train_epoch_end=False))
    callbacks.append(LastCheckpoint(run))
    devices, strategy = device_count(options), options.strategy
    parallel = strategy == "ddp" or devices * options.nodes > 1
    return lightning.Trainer(
        max_epochs=options.epochs,
        devices=devices,
        num_nodes=options.nodes,
        strategy=DDPStrategy(find_unused_parameters=ddp_unused, timeout=_TIMEOUT) if parallel else strategy,
        use_distributed_sampler=False,
        precision=precision(options.precision),
        gradient_clip_val=options.gradient_clip,
        accumulate_grad_batches=options.accumulate,
        reload_dataloaders_every_n_epochs=1,
        logger=TensorBoardLogger(run, name="tensorboard", version=""),
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        enable_progress_bar=has_bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


class _EarlyStopping(EarlyStopping):
    """Lightning's early stopping; a run that it has stopped does not continue when it is resumed."""

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience


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
