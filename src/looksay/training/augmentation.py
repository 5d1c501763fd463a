"""Random crops and colour jitter of training images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from looksay.training.sections import AugmentationOptions

VERSION = 1
"""Part of the name of cached views: raise it when the same seed gives another image."""


def augment(pixels: NDArray[np.uint8], options: AugmentationOptions, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return images (images, size, size, 3) with the `crop` and `color_jitter` of the options, sampled from `rng`."""
    transforms: list[torch.nn.Module] = []
    if options.crop < 1:
        transforms.append(v2.RandomResizedCrop(pixels.shape[1], scale=(options.crop, 1.0)))
    if options.color_jitter:
        transforms.append(v2.ColorJitter(*[options.color_jitter] * 3))
    if not transforms:
        return pixels
    transform = v2.Compose(transforms)
    with torch.random.fork_rng(devices=[]):  # torchvision uses torch's global generator, which dropout needs
        torch.manual_seed(int(rng.integers(2**63)))
        images = [transform(torch.from_numpy(image).permute(2, 0, 1)).permute(1, 2, 0) for image in pixels]
    return torch.stack(images).numpy()
