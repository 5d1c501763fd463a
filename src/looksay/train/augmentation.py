"""Training pictures cut and coloured at random."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from looksay.train.options import AugmentationOptions

VERSION = 1
"""Part of the name of cached views: to be raised when the same draw makes another picture."""


def vary(pixels: NDArray[np.uint8], options: AugmentationOptions, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Cut a part out of each picture, shown at full size, and change its colours.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (pictures, size, size, 3)
    options : AugmentationOptions
        Its `crop` and `colour`.
    draw : Generator
        All that is random comes from it.

    Returns
    -------
    ndarray of uint8, shape (pictures, size, size, 3)
    """
    transforms: list[torch.nn.Module] = []
    if options.crop < 1:
        transforms.append(v2.RandomResizedCrop(pixels.shape[1], scale=(options.crop, 1.0)))
    if options.colour:
        transforms.append(v2.ColorJitter(*[options.colour] * 3))
    if not transforms:
        return pixels
    change = v2.Compose(transforms)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own generator, which dropout needs
        torch.manual_seed(int(draw.integers(2**63)))
        changed = [change(torch.from_numpy(picture).permute(2, 0, 1)).permute(1, 2, 0) for picture in pixels]
    return torch.stack(changed).numpy()
