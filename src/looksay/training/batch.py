"""A batch of images and captions, and a device's share of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.models.decoder import PADDING


class Share(NamedTuple):
    """The share of every batch that a device gets."""

    rank: int
    world_size: int


ALL = Share(0, 1)


@dataclass(frozen=True)
class Batch:
    """Images and their captions, the longest captions first.

    Attributes
    ----------
    images : Tensor
        Pixels of uint8 (images, size, size, 3), or features of float16 (images, cells, channels) of a frozen encoder.
    tokens, targets : Tensor of int64, shape (rows, steps)
        ``<start>`` and the words, or the words and ``<end>``, then `PADDING`; the captions of an image are adjacent,
        the same number for each.
    word_indices : Tensor of int64, shape (words,)
        The places in the flattened `targets` that are not padding. Computed on the CPU, they let a GPU select these
        words without a synchronisation; scoring only them saves a third of the work.
    rows : tuple of (int, int)
        For each row, the index of its image in the split and of its caption.
    mirrored : ndarray of bool, shape (images,)
    active : tuple of (int, int)
        For each step, the leading images and captions that are not finished; see `Decoder.forward`.
    soft_targets : tuple of Tensor, optional
        The teachers' top tokens at each word and their probabilities, each (words, top).
    weight : float
        This share of the words of the whole batch, times the number of devices. The mean over devices of their
        losses, weighted so, is the mean over words.
    """

    images: Tensor
    tokens: Tensor
    targets: Tensor
    word_indices: Tensor
    rows: tuple[tuple[int, int], ...]
    mirrored: NDArray[np.bool_]
    active: tuple[tuple[int, int], ...]
    soft_targets: tuple[Tensor, Tensor] | None = None
    weight: float = 1.0

    @property
    def indices(self) -> tuple[int, ...]:
        """The indices of the images in their split; in a mixture, one can occur twice."""
        return tuple(image for image, _ in self.rows[:: len(self.rows) // len(self.images)])

    def words_of(self, steps: Tensor) -> Tensor:
        """Return the entries of a tensor (rows, steps, ...) that are not padding: (words, ...)."""
        return steps.flatten(0, 1).index_select(0, self.word_indices)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; the copies from pinned memory do not block."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory (the DataLoader calls this)."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            images=function(self.images),
            tokens=function(self.tokens),
            targets=function(self.targets),
            word_indices=function(self.word_indices),
            soft_targets=self.soft_targets and (function(self.soft_targets[0]), function(self.soft_targets[1])),
        )


def active_rows(targets: NDArray[np.int64], images: int) -> tuple[tuple[int, int], ...]:
    """Return `Batch.active` for targets (rows, steps); steps of padding alone are read for one row."""
    unfinished = np.moveaxis(targets.reshape(images, -1, targets.shape[1]) != PADDING, 2, 0)
    last = [[int(indices.max(initial=0)) for indices in step.nonzero()] for step in unfinished]
    return tuple((image + 1, caption + 1) for image, caption in last)
