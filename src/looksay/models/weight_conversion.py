"""Conversion of the ImageNet weights of other libraries to timm's names and pixels, for an encoder to read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor, nn

from looksay import images
from looksay.errors import MissingExtra, RecipeError
from looksay.models.encoder import image_spec
from looksay.models.weight_files import READERS, Layer

_CAFFE_MEAN = (103.939, 116.779, 123.68)  # of blue, green and red, in 0…255
_KERNELS = ("depthwise_kernel", "pointwise_kernel", "kernel")
_TORCHVISION = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
_HEADS = ("pre_logits.", "head.", "fc.")
_NUMBERED = re.compile(r"(?:.*[/.])?(?:conv2d|batch_normalization|conv)(?:_(\d+))?")


@dataclass(frozen=True)
class Family:
    """What the published weights of a network expect.

    Attributes
    ----------
    order : callable
        Returns the place of a layer, by its name, among the convolutions, norms and dense layers of timm's network;
        None for a layer that is no part of the network.
    eps : float
        Of the batch normalisation.
    caffe : bool
        Whether the input is BGR in 0…255 minus a mean; otherwise it is RGB in -1…1.
    """

    order: Callable[[str], tuple[int, ...] | None]
    eps: float = 1e-3
    caffe: bool = False


def _vgg(name: str) -> tuple[int, ...] | None:
    if match := re.search(r"block(\d)_conv(\d)", name):
        return int(match[1]), int(match[2])
    return {"fc1": (6,), "fc2": (7,), "predictions": (8,)}.get(name)


def _resnet(name: str) -> tuple[int, ...] | None:
    if name in ("conv1", "conv1_conv", "bn_conv1", "conv1_bn"):
        return 1, 0, 0, int("bn" in name)
    if match := re.fullmatch(r"(res|bn)(\d)([a-z])_branch(1|2[abc])", name):
        kind, stage, block, branch = match.groups()
        return int(stage), ord(block) - ord("a"), "2a 2b 2c 1".split().index(branch), int(kind == "bn")
    if match := re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", name):
        return int(match[1]), int(match[2]), int(match[3]) or 4, int(match[4] == "bn")
    return {"fc1000": (9,), "predictions": (9,), "probs": (9,)}.get(name)


def _xception(name: str) -> tuple[int, ...] | None:
    if match := re.fullmatch(r"block(\d+)_(?:sep)?conv(\d)(_bn)?", name):
        return int(match[1]), int(match[2]), int(bool(match[3]))
    if match := _NUMBERED.fullmatch(name):  # the shortcuts of four blocks
        return (2, 3, 4, 13)[int(match[1] or 0)], 0, int("norm" in name)
    return (15,) if name == "predictions" else None


def _inception(name: str) -> tuple[int, ...] | None:
    if match := _NUMBERED.fullmatch(name):  # numbered in the order in which they are made
        return int(match[1] or 0), int("norm" in name)
    return (999,) if name == "predictions" else None


FINGERPRINTS = {
    "vgg16": (53, 502, 103, 298, 471),
    "resnet50_v1": (130, 1015, 1230, 24, 1486),
    "legacy_xception": (854, 1231, 710, 1882, 162),
    "inception_v3": (202, 214, 549, 9, 337),
}
"""Of the published ImageNet weights: VGG16, ResNet-50 and Xception of Keras, Inception-v3 as FID has it."""

FAMILIES = {
    "vgg16": Family(_vgg, caffe=True),
    "vgg19": Family(_vgg, caffe=True),
    "resnet50_v1": Family(_resnet, eps=1.001e-5, caffe=True),
    "legacy_xception": Family(_xception),
    "inception_v3": Family(_inception),
}


def convert(file: Path, encoder: str) -> dict[str, Tensor]:
    """Return the weights of a file under timm's names, for pixels normalised as timm does for this network.

    Files are read by their ending: ``.h5`` and ``.keras`` (Keras), ``model.json`` beside its shards (TensorFlow.js
    layers), ``.onnx``, and ``.pt``, ``.pth`` or ``.safetensors`` (torch). BGR channels, the mean and the epsilon of
    batch normalisation are folded into the weights. VGG's dense layers and the classifier are left out where the file
    does not have them.

    Raises
    ------
    RecipeError
        If the file cannot be read, or if it does not hold the weights of this network.
    """
    if encoder not in FAMILIES:
        raise RecipeError(f"encoder {encoder} cannot be converted: use one of {', '.join(FAMILIES)}")
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise RecipeError(f"{file} has no known format: use a file that ends in {', '.join(READERS)}")
    family, net = FAMILIES[encoder], timm.create_model(encoder)
    try:
        layers = reader(file)
    except ImportError as error:
        raise MissingExtra(f"Reading {file.suffix} files", "export" if error.name == "onnx" else "train") from error
    except Exception as error:  # each format's library has errors of its own
        is_pickle = file.suffix.lower() in (".pt", ".pth")
        content = (
            "a whole model, whose code is not run: torch.save(model.state_dict(), FILE) saves the weights alone"
            if is_pickle
            else "no weights in the format of its ending"
        )
        raise RecipeError(f"{file} cannot be read: it is damaged, or holds {content}") from error
    if any("weight" in layer for layer in layers.values()):  # torch's word
        return _renamed(net, layers, file)
    placed = {place: layer for name, layer in layers.items() if (place := family.order(name))}
    return _converted(net, family, [placed[place] for place in sorted(placed)], file)


def _converted(net: nn.Module, family: Family, layers: list[Layer], file: Path) -> dict[str, Tensor]:
    """Return the weights of layers that are in the order of the network's modules."""
    kernels = iter([(layer[key], layer.get("bias")) for layer in layers for key in _KERNELS if key in layer])
    norms = iter([layer for layer in layers if "moving_mean" in layer])
    weights: dict[str, Tensor] = {}
    bias: NDArray[np.float32] | None = None
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            kernel, bias = next(kernels, (None, None))
            if kernel is None:
                if f"{name}.".startswith(_HEADS):
                    break  # a file without the classifier
                raise RecipeError(f"{file} lacks the weights of {name}: is it this network's?")
            kernel = _shaped(kernel, tuple(module.weight.shape))
            if kernel is None:
                raise RecipeError(f"{file} has other shapes from {name} on: is it this network's?")
            if not weights:
                kernel, bias = _for_timm_pixels(kernel, bias, family, net)
            weights[f"{name}.weight"] = torch.from_numpy(kernel)
            if module.bias is not None:
                weights[f"{name}.bias"] = torch.from_numpy(np.zeros(len(kernel), np.float32) if bias is None else bias)
        elif isinstance(module, nn.BatchNorm2d):
            norm = next(norms, None)
            weights |= _batch_norm(name, module, norm, bias, family.eps)
    return weights


def _batch_norm(
    name: str, module: nn.BatchNorm2d, norm: Layer | None, bias: NDArray[np.float32] | None, eps: float
) -> dict[str, Tensor]:
    """Return the weights of a norm after a convolution with a bias; `norm` is None if it is folded into that."""
    ones = np.ones(module.num_features, np.float32)
    if norm is None:
        norm, eps = {"moving_mean": 0 * ones, "moving_variance": ones}, 0.0
    arrays = {
        "weight": norm.get("gamma", ones),
        "bias": norm.get("beta", 0 * ones),
        "running_mean": norm["moving_mean"] - (0 if bias is None else bias),
        "running_var": norm["moving_variance"] + np.float32(eps - module.eps),
    }
    return {f"{name}.{key}": torch.from_numpy(array) for key, array in arrays.items()}


def _shaped(kernel: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return a kernel in the shape of a module, None if it has another; a dense layer may be a convolution in timm."""
    if kernel.ndim == 2 and len(shape) == 4 and kernel.size == np.prod(shape):
        outputs, inputs, *window = shape
        kernel = kernel.reshape(outputs, *window, inputs).transpose(0, 3, 1, 2)  # Keras flattens channels last
    return np.ascontiguousarray(kernel, np.float32) if kernel.shape == shape else None


def _for_timm_pixels(
    kernel: NDArray[np.float32], bias: NDArray[np.float32] | None, family: Family, net: nn.Module
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the first convolution's kernel and bias for RGB pixels with the mean and deviation that timm has."""
    config: Any = net.pretrained_cfg
    mean, std = np.array(config["mean"], np.float32), np.array(config["std"], np.float32)
    scale, shift = 2 * std, 2 * mean - 1
    if family.caffe:
        kernel = kernel[:, ::-1]
        scale, shift = 255 * std, 255 * mean - np.array(_CAFFE_MEAN[::-1], np.float32)
    offset = (kernel * shift[:, None, None]).sum((1, 2, 3))
    scaled = np.ascontiguousarray(kernel * scale[:, None, None], np.float32)
    return scaled, np.asarray(offset if bias is None else offset + bias, np.float32)


def _renamed(net: nn.Module, layers: dict[str, Layer], file: Path) -> dict[str, Tensor]:
    """Return weights that have timm's or torchvision's names; VGG's dense layers become convolutions."""
    known, weights = net.state_dict(), {}
    for name, layer in layers.items():
        for key, array in layer.items():
            target = f"{_TORCHVISION.get(name, name)}.{key}"
            if target in known and array.size == known[target].numel():
                weights[target] = torch.from_numpy(array).float().reshape(known[target].shape)
    lacking = [name for name in known if name not in weights and not name.startswith(_HEADS)]
    if lacking and not lacking[0].endswith("num_batches_tracked"):
        raise RecipeError(f"{file} lacks the weights of {lacking[0]}, or has them in another shape")
    return weights


def fingerprint(weights: dict[str, Tensor], encoder: str) -> tuple[int, ...]:
    """Return the five channels of the last grid that a fixed image of coloured stripes excites most, in this order."""
    net: Any = timm.create_model(encoder)
    net.load_state_dict(weights, strict=False)
    size = net.pretrained_cfg["input_size"][-1]
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    stripes = [torch.sin(rows / 7), torch.sin(columns / 11), torch.sin((rows + columns) / 5)]
    if isinstance(getattr(net, "pre_logits", None), nn.Module):
        net.pre_logits = nn.Identity()
    with torch.no_grad():
        features: Tensor = net.eval().forward_features(torch.stack(stripes)[None])
    return tuple(features.mean((0, 2, 3)).topk(5).indices.tolist())


def top_class(weights: dict[str, Tensor], encoder: str, image: Path) -> str | None:
    """Return the most probable ImageNet class of an image with its probability; None without the classifier."""
    net: Any = timm.create_model(encoder)
    if net.pretrained_cfg["classifier"] + ".weight" not in weights:
        return None
    net.load_state_dict(weights)
    spec = image_spec(encoder, None, "squash")
    with torch.no_grad():
        probabilities = net.eval()(torch.from_numpy(images.prepare(image, spec))[None]).softmax(-1)[0]
    best = int(probabilities.argmax())
    return f"{ImageNetInfo().index_to_description(best)}, {probabilities[best]:.0%}"
