"""Readers of weight files: Keras, TensorFlow.js, ONNX and torch."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timm.models import load_state_dict

Layer = dict[str, NDArray[np.float32]]
"""The arrays of a layer by Keras' names (``kernel``, ``bias``, ``gamma``, …), kernels as torch has them."""

_ARRAYS = {  # of a Keras 3 layer, in the order in which they are saved; any other layer has a kernel and a bias
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
_AXES: dict[tuple[str, int], tuple[int, ...]] = {
    ("kernel", 2): (1, 0), ("kernel", 4): (3, 2, 0, 1), ("pointwise_kernel", 4): (3, 2, 0, 1),
    ("depthwise_kernel", 4): (2, 3, 0, 1),
}  # fmt: skip


def _read_torch(file: Path) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    for name, tensor in load_state_dict(str(file), weights_only=True).items():
        layer, _, key = name.rpartition(".")
        layers.setdefault(layer, {})[key] = tensor.float().numpy()
    return layers


def _read_keras(file: Path) -> dict[str, Layer]:
    """Read the archive of Keras 3: arrays by the kind of layer and its count, names in the configuration."""
    import h5py

    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    layers: dict[str, Layer] = {}

    def visit(model: dict[str, Any], group: Any) -> None:
        counts: Counter[str] = Counter()
        for entry in model["layers"]:
            kind, name = entry["class_name"], entry["config"]["name"]
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower().replace("conv2_d", "conv2d")
            key = f"{snake}_{counts[snake]}" if counts[snake] else snake
            counts[snake] += 1
            if "layers" in entry["config"]:
                visit(entry["config"], group[key]["layers"])
            elif key in group and len(group[key].get("vars", ())):
                arrays = group[key]["vars"]
                names = _ARRAYS.get(kind, ("kernel", "bias"))
                layers[name] = _torch_layout({names[int(i)]: np.asarray(arrays[i]) for i in arrays})

    visit(config["config"], weights["layers"])
    return layers


def _read_h5(file: Path) -> dict[str, Layer]:
    """Read Keras' older files, whose data sets are called ``…/LAYER/ARRAY:0``."""
    import h5py

    arrays: dict[str, dict[str, Any]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            *_, layer, key = name.split("/")
            arrays.setdefault(layer, {})[key.partition(":")[0]] = np.asarray(item)

    with h5py.File(file) as weights:
        weights.visititems(visit)
    return {name: _torch_layout(layer) for name, layer in arrays.items()}


def _read_tensorflow_js(file: Path) -> dict[str, Layer]:
    arrays: dict[str, dict[str, Any]] = {}
    for group in json.loads(file.read_text(encoding="utf-8"))["weightsManifest"]:
        content, start = b"".join((file.parent / path).read_bytes() for path in group["paths"]), 0
        for weight in group["weights"]:
            layer, _, key = weight["name"].rpartition("/")
            size = math.prod(weight["shape"])
            array = np.frombuffer(content, weight["dtype"], size, start).reshape(weight["shape"])
            arrays.setdefault(layer, {})[key] = array
            start += array.nbytes
    return {name: _torch_layout(layer) for name, layer in arrays.items()}


def _read_onnx(file: Path) -> dict[str, Layer]:
    """Read a graph; convolutions have torch's layout there, and batch normalisation is usually folded into them."""
    import onnx

    layers: dict[str, Layer] = {}
    for tensor in onnx.load(file).graph.initializer:
        *path, last = tensor.name.removesuffix(":0").replace("/", ".").split(".")
        array = onnx.numpy_helper.to_array(tensor).copy()  # it may be read-only
        is_keras = "/" in tensor.name
        name = path[1] if is_keras and len(path) > 1 else ".".join(path)
        layers.setdefault(name, {})[("kernel" if array.ndim > 1 else "bias") if is_keras else last] = array
    return layers


def _torch_layout(layer: dict[str, Any]) -> Layer:
    """Transpose the kernels of a Keras layer."""
    return {key: np.array(a, np.float32).transpose(_AXES.get((key, a.ndim), range(a.ndim))) for key, a in layer.items()}


READERS: dict[str, Callable[[Path], dict[str, Layer]]] = {
    ".keras": _read_keras, ".h5": _read_h5, ".json": _read_tensorflow_js, ".onnx": _read_onnx,
    ".pt": _read_torch, ".pth": _read_torch, ".safetensors": _read_torch,
}  # fmt: skip
"""The reader of each file ending; it returns layers by their names and raises errors of its format's library."""
