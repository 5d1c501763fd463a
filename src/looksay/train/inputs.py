"""What a batch gives the model of its pictures: pixels, or a frozen encoder's grids computed once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay import images
from looksay.data.cache import PictureCache, new_rows, progress
from looksay.nets.encoder import Encoder
from looksay.specs import ImageSpec

_BATCH = 32
Mirrored = NDArray[np.bool_]


class Inputs(Protocol):
    """Pictures by their places in the cache; `mirrored` says which are flipped left to right."""

    def __call__(self, places: Sequence[int], mirrored: Mirrored) -> Tensor:
        """Return what the model gets."""
        ...


class Pixels:
    """Pictures ready for an encoder that learns."""

    def __init__(self, cache: PictureCache, spec: ImageSpec) -> None:
        self._cache = cache
        self._spec = spec

    def __call__(self, places: Sequence[int], mirrored: Mirrored) -> Tensor:
        """Return a Tensor of float32, shape (pictures, 3, size, size)."""
        pixels = self._cache.pixels(places)
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        return torch.from_numpy(images.normalise(pixels, self._spec))


class Grids:
    """A frozen encoder's grids of pictures and of their mirror images, in one memory-mapped file of float16.

    Parameters
    ----------
    pixels : Pixels
    cache : PictureCache
        The file stands beside the cache's; its name is a hash of that one's name and of the encoder's name and weights.
    count : int
        Pictures in the cache.
    encoder : Encoder
    bf16 : bool
        Whether to encode in bf16.
    """

    def __init__(self, pixels: Pixels, cache: PictureCache, count: int, encoder: Encoder, *, bf16: bool) -> None:
        facts = hashlib.sha256(f"{cache.file.name} {encoder.name} {encoder.grid} {bf16}".encode())
        for name, value in encoder.state_dict().items():
            facts.update(name.encode() + value.numpy().tobytes())
        file = cache.file.with_name(f"grids-{facts.hexdigest()[:16]}.npy")
        if not file.is_file():
            _encode_once(file, pixels, count, encoder, bf16=bf16)
        self._grids = np.load(file, mmap_mode="r")  # (pictures, not mirrored | mirrored, cells, channels)

    def __call__(self, places: Sequence[int], mirrored: Mirrored) -> Tensor:
        """Return a Tensor of float32, shape (pictures, cells, channels)."""
        return torch.from_numpy(self._grids[list(places), mirrored.astype(int)]).float()


@torch.no_grad()
def _encode_once(file: Path, pixels: Pixels, count: int, encoder: Encoder, *, bf16: bool) -> None:
    rows, columns = encoder.grid
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device)
    shape = (count, 2, rows * columns, encoder.channels)
    bar = progress(range(0, count, _BATCH), math.ceil(count / _BATCH), "encoding pictures")
    with new_rows(file, np.dtype(np.float16), shape) as grids, bar as starts:
        for first in starts:
            places = range(first, min(first + _BATCH, count))
            for side in (0, 1):
                batch = pixels(places, np.full(len(places), bool(side))).to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    grids[places, side] = encoder(batch).float().cpu().numpy()
    encoder.cpu()
