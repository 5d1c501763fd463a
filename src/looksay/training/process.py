"""The processes that train together."""

from __future__ import annotations

import os

import torch

from looksay.training.sections import TrainingOptions


def is_first() -> bool:
    """Return whether this process, of all that train together, is the one that writes and logs."""
    ranks = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")  # set by torchrun, SLURM and Lightning
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


def device_count(options: TrainingOptions) -> int:
    """Return the number of devices on this machine."""
    return options.devices or max(1, torch.cuda.device_count())
