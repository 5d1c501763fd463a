"""The encoder's input for a batch: augmented pixels, or the features of a frozen encoder from a cache on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

from looksay.data.image_cache import ImageCache
from looksay.data.memmap_store import Rows, Shards
from looksay.models.encoder import Encoder
from looksay.training.sections import AugmentationOptions

_BATCH_SIZE = 32
_VERSION = 1  # part of the name of cached views: raise it when the same seed gives another image

log = logging.getLogger(__name__)


def augment(pixels: NDArray[np.uint8], options: AugmentationOptions, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return images (images, size, size, 3) with the `crop`, `color_jitter` and `jpeg` of the options.

    They are sampled from `rng`.
    """
    crop = [v2.RandomResizedCrop(pixels.shape[1], scale=(options.crop, 1.0))] if options.crop < 1 else []
    jitter = [v2.ColorJitter(*[options.color_jitter] * 3)] if options.color_jitter else []
    jpeg = [v2.JPEG((options.jpeg, 100))] if options.jpeg < 100 else []
    if not crop and not jitter and not jpeg:
        return pixels
    transform = v2.Compose([*crop, *jitter, *jpeg])
    with torch.random.fork_rng(devices=[]):  # torchvision uses torch's global generator, which dropout needs
        torch.manual_seed(int(rng.integers(2**63)))
        images = [transform(torch.from_numpy(image).permute(2, 0, 1)).permute(1, 2, 0) for image in pixels]
    return torch.stack(images).numpy()


class CachedPixels:
    """Pixels of uint8, (images, size, size, 3)."""

    def __init__(self, cache: ImageCache, augmentation: AugmentationOptions) -> None:
        self.cache, self.augmentation = cache, augmentation

    def __call__(self, indices: Sequence[int], mirrored: NDArray[np.bool_], rng: Generator | None = None) -> Tensor:
        """Return images by their indices in the image cache; `mirrored` ones are flipped left to right.

        `rng` samples the augmentation; without it there is none.
        """
        pixels = self.cache.pixels(indices)
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        return torch.from_numpy(augment(pixels, self.augmentation, rng) if rng else pixels)


class CachedFeatures:
    """Features of float16, (images, cells, channels), of several augmented views of each image.

    They are memory-mapped files in a folder next to the image cache. Its name is a hash of the image cache's name, of
    the encoder's name and weights and of the views: their number, crop, colour jitter, JPEG quality, and whether there
    are mirrored ones, from the augmentation of `pixels`. With `bf16`, they are encoded in it.
    """

    def __init__(self, pixels: CachedPixels, encoder: Encoder, *, bf16: bool) -> None:
        cache, augmentation = pixels.cache, pixels.augmentation
        views, sides = augmentation.views, 1 + augmentation.flip
        varied = (_VERSION, augmentation.crop, augmentation.color_jitter, augmentation.jpeg) if views > 1 else None
        key = hashlib.sha256(
            f"{cache.folder.name} {encoder.name} {encoder.pooled} {encoder.grid} "
            f"{bf16} {views} {sides} {varied}".encode()
        )
        for name, value in encoder.state_dict().items():
            key.update(name.encode() + (value + 0).numpy().tobytes())  # a moving average makes 0.0 of -0.0
        folder = cache.folder.with_name(f"grids-{key.hexdigest()[:16]}")
        shape = (views, sides, encoder.grid[0] * encoder.grid[1], encoder.channels)  # sides: original, mirrored
        if not folder.is_dir():  # COCO's are tens of GB
            gigabytes = len(cache) * np.prod(shape) * np.dtype(np.float16).itemsize / 1e9
            log.info("features of %d images: %.1f GB in %s", len(cache), gigabytes, folder)
        write = partial(_encode, pixels, encoder, bf16=bf16)
        self._rows = Shards(folder, len(cache), shape, np.float16, write, "encoding images")
        self._views = views

    def __call__(self, indices: Sequence[int], mirrored: NDArray[np.bool_], rng: Generator | None = None) -> Tensor:
        """See `CachedPixels`; `rng` samples one of the views, without it the first is taken."""
        count = len(indices)
        views = rng.integers(self._views, size=count) if rng and self._views > 1 else np.zeros(count, dtype=int)
        chosen = zip(indices, views, mirrored.astype(int), strict=True)
        return torch.from_numpy(np.stack([self._rows[index][view, side] for index, view, side in chosen]))


def precision(option: str) -> Any:
    """Return Lightning's name of a precision; ``auto`` is bf16 where the hardware computes in it, else fp32."""
    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return "bf16-mixed" if option == "bf16" or (option == "auto" and has_bf16) else "32-true"


@torch.no_grad()
def _encode(
    pixels: CachedPixels, encoder: Encoder, indices: range, rows: Rows, update: Callable[[int], None], *, bf16: bool
) -> None:
    """Write the rows of some images: (images, views, sides, cells, channels)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device).eval()
    for first in range(indices.start, indices.stop, _BATCH_SIZE):
        batch = range(first, min(first + _BATCH_SIZE, indices.stop))
        target = slice(first - indices.start, batch.stop - indices.start)
        for view, side in np.ndindex(rows.shape[1:3]):
            rng = np.random.default_rng([first, view, side]) if view else None
            images = pixels(batch, np.full(len(batch), bool(side)), rng).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                rows[target, view, side] = encoder(encoder.normalise(images)).float().cpu().numpy()
        update(len(batch))
    encoder.cpu()
