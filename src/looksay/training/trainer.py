"""The Lightning trainer of a recipe's ``[training]`` section."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from looksay.training import build
from looksay.training.checkpoint import LAST, AtomicCheckpointIO, BestWeights, LastCheckpoint, RunRecord, save_best
from looksay.training.datamodule import CaptionDataModule
from looksay.training.module import MONITOR, CaptionModule
from looksay.training.sections import TrainingOptions

_TIMEOUT = timedelta(minutes=30)  # of a process that waits for another one
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
        record = RunRecord(run)
        trainer = _trainer(options, run, record, ddp_unused=ddp_unused)
        if options.epochs:
            last = run / LAST
            trainer.fit(module, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)
        else:
            trainer.validate(module, datamodule=data, verbose=False)
            if trainer.is_global_zero:
                save_best(module.model.state_dict(), run)
            record.write(trainer, module, epoch=0)
            trainer.strategy.barrier()  # the next phase reads these files on every device


def _trainer(options: TrainingOptions, run: Path, record: RunRecord, *, ddp_unused: bool) -> lightning.Trainer:
    has_bar = sys.stderr.isatty() and is_first()
    callbacks: list[Any] = [RichProgressBar()] if has_bar else []
    average = None
    if options.ema_decay and options.epochs:
        from looksay.training.weight_averaging import MovingAverage

        average = MovingAverage(options.ema_decay, warmup=not options.start)
        callbacks.append(average)
    if options.patience:
        callbacks.append(_EarlyStopping(MONITOR, mode="max", patience=options.patience, check_on_train_epoch_end=False))
    callbacks += [BestWeights(run, average), record, LastCheckpoint(run)]
    devices, strategy = device_count(options), options.strategy
    parallel = strategy == "ddp" or devices * options.nodes > 1
    return lightning.Trainer(
        max_epochs=options.epochs,
        devices=devices,
        num_nodes=options.nodes,
        strategy=DDPStrategy(find_unused_parameters=ddp_unused, timeout=_TIMEOUT) if parallel else strategy,
        use_distributed_sampler=False,
        precision=build.precision(options.precision),
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
