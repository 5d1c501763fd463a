"""ResNet-50 as first published, for its original weights (Caffe, Keras): timm registers it as ``resnet50_v1``."""

from __future__ import annotations

from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck, ResNet

default_cfgs = generate_default_cfgs({
    "resnet50_v1.untrained": {
        "num_classes": 1000, "input_size": (3, 224, 224), "pool_size": (7, 7), "crop_pct": 0.875,
        "interpolation": "bilinear", "mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD,
        "first_conv": "conv1", "classifier": "fc",
    },
})  # fmt: skip


class BottleneckV1(Bottleneck):
    """The block of He et al. 2016, which halves the grid in its first convolution; timm's does so in the second."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


@register_model
def resnet50_v1(pretrained: bool = False, **options: Any) -> ResNet:
    """Create ResNet-50 with `BottleneckV1`; its parameters are named as those of timm's ``resnet50``."""
    net: ResNet = build_model_with_cfg(
        ResNet, "resnet50_v1", pretrained, block=BottleneckV1, layers=(3, 4, 6, 3), **options
    )
    return net
