"""Depthwise convolutions that a CPU trains slowly in bf16 are computed in fp32, and nothing else is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from looksay.models.depthwise import in_fp32_on_cpu


def gradient(cnn: nn.Module, images: torch.Tensor, *, bf16: bool) -> torch.Tensor:
    cnn.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = cnn(images)
        outputs.float().square().sum().backward()
    weight = next(cnn.parameters()).grad
    assert weight is not None
    return weight.clone()


@pytest.mark.parametrize(("kernel", "stride", "groups", "is_exact"), [
    (5, 1, 8, True), (3, 2, 8, True), (3, 1, 8, False), (5, 1, 1, False), (5, 1, 4, False),
])  # fmt: skip
def test_the_slow_ones_have_the_gradient_of_fp32(kernel: int, stride: int, groups: int, is_exact: bool) -> None:
    torch.manual_seed(0)
    cnn = nn.Sequential(nn.Conv2d(8, 8, kernel, stride, groups=groups))
    images = torch.randn(4, 8, 16, 16)
    exact, rounded = gradient(cnn, images, bf16=False), gradient(cnn, images, bf16=True)
    assert not torch.equal(exact, rounded)
    in_fp32_on_cpu(cnn)
    assert torch.equal(gradient(cnn, images, bf16=True), exact if is_exact else rounded)
    assert torch.equal(gradient(copy.deepcopy(cnn), images, bf16=True), exact if is_exact else rounded)


def test_features_that_are_cached_stay_the_same() -> None:
    """They are computed without gradients: a cache of an earlier version stays valid."""
    cnn, images = nn.Sequential(nn.Conv2d(8, 8, 5, groups=8)), torch.randn(2, 8, 9, 9)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = cnn(images)
        in_fp32_on_cpu(cnn)
        after = cnn(images)
    assert (before.dtype, torch.equal(before, after)) == (torch.bfloat16, True)
