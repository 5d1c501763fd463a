"""Training images cut and coloured at random."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from looksay.training.sections import AugmentationOptions

VERSION = 1
"""Part of the name of cached views: to be raised when the same draw makes another image."""


def vary(pixels: NDArray[np.uint8], options: AugmentationOptions, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a part out of each image, shown at full size, and change its colours.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (images, size, size, 3)
    options : AugmentationOptions
        Its `crop` and `color_jitter`.
    draw : Generator
        All that is random comes from it.

    Returns
    -------
    ndarray of uint8, shape (images, size, size, 3)
    """
    transforms: list[torch.nn.Module] = []
    if options.crop < 1:
        transforms.append(v2.RandomResizedCrop(pixels.shape[1], scale=(options.crop, 1.0)))
    if options.color_jitter:
        transforms.append(v2.ColorJitter(*[options.color_jitter] * 3))
    if not transforms:
        return pixels
    change = v2.Compose(transforms)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own generator, which dropout needs
        torch.manual_seed(int(draw.integers(2**63)))
        changed = [change(torch.from_numpy(image).permute(2, 0, 1)).permute(1, 2, 0) for image in pixels]
    return torch.stack(changed).numpy()
