"""Depthwise convolutions that are fast to train on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def in_fp32_on_cpu(cnn: nn.Module) -> None:
    """Let the slow depthwise convolutions of a CNN be computed in fp32 where autocast trains it in bf16 on a CPU.

    oneDNN has no fast bf16 gradient of depthwise convolutions with a 5 × 5 kernel or a stride: it takes three to four
    times as long as in fp32 (672 channels, 15 × 15 cells, 32 images: 138 and 33 ms). Others are faster in bf16.
    """
    for module in cnn.modules():
        if not isinstance(module, nn.Conv2d) or not module.groups == module.in_channels > 1:
            continue
        if max(module.kernel_size) > 3 or max(module.stride) > 1:
            # The class, not an attribute, so that a copy of the module, as for the average of weights, keeps it.
            module.__class__ = type(type(module).__name__, (_InFp32OnCpu, type(module)), {})


class _InFp32OnCpu(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of the convolution, in the type of the inputs."""
        if inputs.device.type != "cpu" or not (torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")):
            plain: Tensor = super().forward(inputs)
            return plain
        with torch.autocast("cpu", enabled=False):
            outputs: Tensor = super().forward(inputs.float())
        return outputs.to(inputs.dtype)
