"""What a batch gives the model of its images: pixels, or a frozen encoder's grids computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from looksay import images
from looksay.data.image_cache import ImageCache
from looksay.data.memmap_store import Rows, Shards
from looksay.models.encoder import Encoder
from looksay.training.augmentation import VERSION, vary
from looksay.training.sections import AugmentationOptions
from looksay.types import ImageSpec

_BATCH = 32
Mirrored = NDArray[np.bool_]


class Inputs(Protocol):
    """Images by their places in the cache."""

    def __call__(self, places: Sequence[int], mirrored: Mirrored, draw: Generator | None = None) -> Tensor:
        """Return what the model gets.

        Parameters
        ----------
        places : sequence of int
        mirrored : ndarray of bool, shape (images,)
            Which are flipped left to right.
        draw : Generator, optional
            Draws how each is cut and coloured; without it images are as they are.
        """
        ...


class Pixels:
    """Images ready for an encoder that learns."""

    def __init__(self, cache: ImageCache, spec: ImageSpec, augmentation: AugmentationOptions) -> None:
        self.cache = cache
        self.augmentation = augmentation
        self._spec = spec

    def __call__(self, places: Sequence[int], mirrored: Mirrored, draw: Generator | None = None) -> Tensor:
        """Return a Tensor of float32, shape (images, 3, size, size)."""
        pixels = self.cache.pixels(places)
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        if draw:
            pixels = vary(pixels, self.augmentation, draw)
        return torch.from_numpy(images.normalise(pixels, self._spec))


class Grids:
    """A frozen encoder's grids of several views of each image, in memory-mapped files of float16.

    Parameters
    ----------
    pixels : Pixels
        Its augmentation says what the views are: how many, cut and coloured how, and whether mirrored too. Their
        folder stands beside its cache's; its name is a hash of that one's name, of the encoder's name and weights and
        of the views.
    encoder : Encoder
    bf16 : bool
        Whether to encode in bf16.
    """

    def __init__(self, pixels: Pixels, encoder: Encoder, *, bf16: bool) -> None:
        cache, augmentation = pixels.cache, pixels.augmentation
        views, sides = augmentation.views, 1 + augmentation.flip
        varied = (VERSION, augmentation.crop, augmentation.color_jitter) if views > 1 else None
        facts = hashlib.sha256(
            f"{cache.folder.name} {encoder.name} {encoder.pooled} {encoder.grid} "
            f"{bf16} {views} {sides} {varied}".encode()
        )
        for name, value in encoder.state_dict().items():
            facts.update(name.encode() + value.numpy().tobytes())
        folder = cache.folder.with_name(f"grids-{facts.hexdigest()[:16]}")
        cells = encoder.grid[0] * encoder.grid[1]
        shape = (views, sides, cells, encoder.channels)  # sides: as it is, mirrored
        write = partial(_encode, pixels, encoder, bf16=bf16)
        self._grids = Shards(folder, len(cache), shape, np.float16, write, "encoding images")
        self._views = views

    def __call__(self, places: Sequence[int], mirrored: Mirrored, draw: Generator | None = None) -> Tensor:
        """Return a Tensor of float32, shape (images, cells, channels)."""
        count = len(places)
        view = draw.integers(self._views, size=count) if draw and self._views > 1 else np.zeros(count, dtype=int)
        chosen = zip(places, view, mirrored.astype(int), strict=True)
        return torch.from_numpy(np.stack([self._grids[place][which, side] for place, which, side in chosen])).float()


@torch.no_grad()
def _encode(
    pixels: Pixels, encoder: Encoder, places: range, rows: Rows, done: Callable[[int], None], *, bf16: bool
) -> None:
    """Fill the rows of some places: (places, views, sides, cells, channels)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device).eval()
    for first in range(places.start, places.stop, _BATCH):
        some = range(first, min(first + _BATCH, places.stop))
        into = slice(first - places.start, some.stop - places.start)
        for view, side in np.ndindex(rows.shape[1:3]):
            draw = np.random.default_rng([first, view, side]) if view else None
            batch = pixels(some, np.full(len(some), bool(side)), draw).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                rows[into, view, side] = encoder(batch).float().cpu().numpy()
        done(len(some))
    encoder.cpu()
