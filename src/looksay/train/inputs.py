"""What a batch gives the model of its pictures: pixels, or a frozen encoder's grids computed once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from looksay import images
from looksay.data.cache import PictureCache, new_rows, progress
from looksay.nets.encoder import Encoder
from looksay.specs import ImageSpec
from looksay.train.augmentation import VERSION, vary
from looksay.train.recipe import AugmentationOptions

_BATCH = 32
Mirrored = NDArray[np.bool_]


class Inputs(Protocol):
    """Pictures by their places in the cache."""

    def __call__(self, places: Sequence[int], mirrored: Mirrored, draw: Generator | None = None) -> Tensor:
        """Return what the model gets.

        Parameters
        ----------
        places : sequence of int
        mirrored : ndarray of bool, shape (pictures,)
            Which are flipped left to right.
        draw : Generator, optional
            Draws how each is cut and coloured; without it pictures are as they are.
        """
        ...


class Pixels:
    """Pictures ready for an encoder that learns."""

    def __init__(self, cache: PictureCache, spec: ImageSpec, augmentation: AugmentationOptions) -> None:
        self.cache = cache
        self.augmentation = augmentation
        self._spec = spec

    def __call__(self, places: Sequence[int], mirrored: Mirrored, draw: Generator | None = None) -> Tensor:
        """Return a Tensor of float32, shape (pictures, 3, size, size)."""
        pixels = self.cache.pixels(places)
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        if draw:
            pixels = vary(pixels, self.augmentation, draw)
        return torch.from_numpy(images.normalise(pixels, self._spec))


class Grids:
    """A frozen encoder's grids of several views of each picture, in one memory-mapped file of float16.

    Parameters
    ----------
    pixels : Pixels
        Its augmentation says what the views are: how many, cut and coloured how, and whether mirrored too. The file
        stands beside its cache's; the name is a hash of that one's name, of the encoder's name and weights and of the
        views.
    encoder : Encoder
    bf16 : bool
        Whether to encode in bf16.
    """

    def __init__(self, pixels: Pixels, encoder: Encoder, *, bf16: bool) -> None:
        cache, augmentation = pixels.cache, pixels.augmentation
        views, sides = augmentation.views, 1 + augmentation.flip
        varied = (VERSION, augmentation.crop, augmentation.colour) if views > 1 else None
        facts = hashlib.sha256(
            f"{cache.file.name} {encoder.name} {encoder.pooled} {encoder.grid} {bf16} {views} {sides} {varied}".encode()
        )
        for name, value in encoder.state_dict().items():
            facts.update(name.encode() + value.numpy().tobytes())
        file = cache.file.with_name(f"grids-{facts.hexdigest()[:16]}.npy")
        if not file.is_file():
            _encode_once(file, pixels, (len(cache), views, sides), encoder, bf16=bf16)
        self._grids = np.load(file, mmap_mode="r")  # (pictures, views, not mirrored | mirrored, cells, channels)

    def __call__(self, places: Sequence[int], mirrored: Mirrored, draw: Generator | None = None) -> Tensor:
        """Return a Tensor of float32, shape (pictures, cells, channels)."""
        views = self._grids.shape[1]
        view = draw.integers(views, size=len(places)) if draw and views > 1 else 0
        return torch.from_numpy(self._grids[list(places), view, mirrored.astype(int)]).float()


@torch.no_grad()
def _encode_once(file: Path, pixels: Pixels, views: tuple[int, int, int], encoder: Encoder, *, bf16: bool) -> None:
    count, rows, columns = views[0], *encoder.grid
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device).eval()
    bar = progress(range(0, count, _BATCH), math.ceil(count / _BATCH), "encoding pictures")
    with new_rows(file, np.dtype(np.float16), (*views, rows * columns, encoder.channels)) as grids, bar as starts:
        for first in starts:
            places = range(first, min(first + _BATCH, count))
            for view, side in np.ndindex(views[1:]):
                draw = np.random.default_rng([first, view, side]) if view else None
                batch = pixels(places, np.full(len(places), bool(side)), draw).to(device)
                with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                    grids[places, view, side] = encoder(batch).float().cpu().numpy()
    encoder.cpu()
