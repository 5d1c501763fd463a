"""A small CNN as an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IMAGES = np.random.default_rng(0).uniform(-1, 1, size=(12, 3, 32, 32)).astype(np.float32)


def cnn_graph(*, bias: bool = True) -> onnx.ModelProto:
    """Return a CNN: three convolutions, then a depthwise one, a sum with an earlier tensor, pooling, a last one."""
    rng, nodes = np.random.default_rng(0), list[onnx.NodeProto]()
    weights = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("zero", 0), ("six", 6))]

    def convolution(source: str, name: str, shape: tuple[int, ...], **attributes: Any) -> str:
        weight = rng.normal(0.3, 1, size=shape) * rng.uniform(0.02, 0.4, size=(shape[0], 1, 1, 1))
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
        inputs = [source, f"{name}.weight"]
        if bias:
            weights.append(numpy_helper.from_array(rng.normal(size=shape[0]).astype(np.float32), f"{name}.bias"))
            inputs.append(f"{name}.bias")
        nodes.append(helper.make_node("Conv", inputs, [name], name, **attributes))
        return name

    def node(kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    stem = node("Clip", [convolution("image", "stem", (8, 3, 3, 3), pads=[1] * 4), "zero", "six"], "stem.clip")
    first = node("Relu", [convolution(stem, "first", (16, 8, 1, 1))], "first.relu")
    wide = convolution(first, "wide", (32, 16, 1, 1))
    deep = convolution(node("Clip", [wide, "zero", "six"], "clip"), "deep", (32, 1, 3, 3), pads=[1] * 4, group=32)
    narrow = convolution(node("Relu", [deep], "relu"), "narrow", (16, 32, 1, 1))
    pooled = node("MaxPool", [node("Add", [narrow, first], "sum")], "pool", kernel_shape=[2, 2], strides=[2, 2])
    node("Relu", [convolution(pooled, "last", (24, 16, 1, 1))], "features")
    image, features = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["images", channels, size, size])
        for name, channels, size in (("image", 3, 32), ("features", 24, 16))
    )
    model = helper.make_model(
        helper.make_graph(nodes, "cnn", [image], [features], weights), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 10
    return model


def run(model: onnx.ModelProto, images: NDArray[np.float32] = IMAGES) -> NDArray[np.float32]:
    """Return the first output for images."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    features: NDArray[np.float32] = session.run(None, {"image": images})[0]
    return features
