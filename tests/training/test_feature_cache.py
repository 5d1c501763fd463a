"""Augmentation depends on the seed alone, and features of a frozen encoder are computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from conftest import EXAMPLES, PHOTOS

from looksay.data.image_cache import ImageCache
from looksay.models.encoder import Encoder
from looksay.training.feature_cache import CachedFeatures, CachedPixels, augment
from looksay.training.sections import AugmentationOptions
from looksay.types import ImageSpec


def test_augmentation_depends_on_its_generator_alone() -> None:
    pixels = np.random.default_rng(5).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    options = AugmentationOptions(crop=0.5, color_jitter=0.3)
    first, again, other = (augment(pixels, options, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.dtype == np.uint8
    assert first.shape == pixels.shape
    assert (first == again).all()
    assert (first != other).mean() > 0.5
    assert (augment(pixels, AugmentationOptions(), np.random.default_rng(0)) == pixels).all()
    state = torch.get_rng_state()
    augment(pixels, options, np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), state), "dropout must not depend on the augmentation"


def test_a_crop_shows_a_part_and_colour_jitter_keeps_the_shape() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, None, :, None], (20, 64, 1, 3)) + 60
    crops = augment(ramp, AugmentationOptions(crop=0.25), np.random.default_rng(0)).astype(int)
    widths = crops[:, 32, -1, 0] - crops[:, 32, 0, 0]
    assert widths.min() >= 63 * 0.25  # an area of a quarter is at least this wide
    assert widths.max() <= 63
    assert len(set(widths)) > 5
    options = AugmentationOptions(color_jitter=0.2)
    grey = augment(np.full((20, 8, 8, 3), 100, np.uint8), options, np.random.default_rng(0))
    assert all(len(np.unique(image)) == 1 for image in grey)
    assert 60 <= grey.min() < 95
    assert 105 < grey.max() <= 150


def test_a_phase_after_a_moving_average_encodes_no_image_again(tmp_path: Path) -> None:
    """The average of frozen weights turns -0.0 into 0.0: the features are the same."""
    photos = ImageCache([EXAMPLES / photo for photo in PHOTOS], ImageSpec(size=64), tmp_path)
    for zero in (-0.0, 0.0):
        torch.manual_seed(0)
        encoder = Encoder("test_convnext", ImageSpec(size=64), "random")
        next(encoder.parameters()).data[0, 0, 0, 0] = zero
        CachedFeatures(CachedPixels(photos, AugmentationOptions()), encoder, bf16=False)
    assert len(list(tmp_path.glob("grids-*"))) == 1
