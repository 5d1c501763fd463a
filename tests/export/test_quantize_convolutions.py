"""A CNN in int8 computes what it did in float32, but for the rounding, from weights of a quarter of the size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import ROOT, TINY
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from looksay.export import onnx_graphs
from looksay.export.quantize_convolutions import quantize_convolutions
from looksay.runtime.bundle import ENCODER
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build, recipe_file

IMAGES = np.random.default_rng(0).uniform(-1, 1, size=(12, 3, 32, 32)).astype(np.float32)


def graph(*, bias: bool = True) -> onnx.ModelProto:
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


@pytest.mark.parametrize("bias", [True, False])
def test_the_features_stay_the_same_but_for_rounding(bias: bool) -> None:
    model = graph(bias=bias)
    expected = run(model)
    actual = run(quantize_convolutions(model, IMAGES))
    assert np.square(actual - expected).mean() < 0.02**2 * np.square(expected).mean()


def test_weights_that_round_to_zero_do_not_shift_the_mean() -> None:
    model = graph()
    (last,) = (weight for weight in model.graph.initializer if weight.name == "last.weight")
    weight = np.full((24, 16, 1, 1), 0.004, dtype=np.float32)  # less than half a step of 1.27 / 127
    weight[:, 0] = 1.27
    last.CopyFrom(numpy_helper.from_array(weight, last.name))
    expected = run(model)
    shift = (run(quantize_convolutions(model, IMAGES)) - expected).mean(axis=(0, 2, 3))
    assert np.abs(shift).max() < 0.02


def test_all_but_the_first_three_convolutions_are_int8() -> None:
    model = quantize_convolutions(graph(), IMAGES)
    kinds = {
        weight.name.split(".")[0]: weight.data_type for weight in model.graph.initializer if "weight" in weight.name
    }
    assert kinds == dict.fromkeys(("stem", "first", "wide"), TensorProto.FLOAT) | dict.fromkeys(
        ("deep", "narrow", "last"), TensorProto.INT8
    )


def test_a_range_leaves_rare_extremes_out() -> None:
    images = IMAGES.copy()
    images[0, :, 0, 0] = 100  # would take the resolution of all others
    model = graph()
    expected = run(model)
    actual = run(quantize_convolutions(model, images))
    assert np.square(actual - expected).mean() < 0.05**2 * np.square(expected).mean()


@pytest.mark.parametrize("kind", ["two convolutions", "SiLU"])
def test_a_graph_that_int8_would_not_make_faster_is_left_as_it_is(kind: str) -> None:
    model = graph()
    if kind == "SiLU":
        (node,) = (node for node in model.graph.node if node.name == "relu")
        node.op_type = "HardSwish"
    else:
        del model.graph.node[4:]
        model.graph.node[-1].output[0] = "features"
    before = model.SerializeToString()
    assert quantize_convolutions(model, IMAGES).SerializeToString() == before


def test_two_neighbouring_weights_do_not_overflow_16_bits() -> None:
    model = quantize_convolutions(graph(), IMAGES)
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.INT8 and len(weight.dims) == 4 and weight.dims[1] > 1:
            values = np.abs(numpy_helper.to_array(weight).astype(int))
            rows = values.transpose(0, 2, 3, 1).reshape(len(values), -1, 2)
            assert 100 < rows.sum(axis=2).max() <= 128  # times 255: below 32,768


def test_the_encoder_of_a_trained_model_becomes_int8(tmp_path: Path) -> None:
    changes = (*TINY, "encoder.name=test_resnet")
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
    model = build.caption_model(recipe, Vocabulary((*SPECIAL, "a", "dog"))).eval()
    onnx_graphs.write(model, 64, tmp_path)
    images = np.random.default_rng(1).uniform(-1, 1, size=(12, 3, 64, 64)).astype(np.float32)
    encoder = onnx.load(tmp_path / ENCODER)
    expected = run(encoder, images)
    convolutions = sum(node.op_type == "Conv" for node in encoder.graph.node)
    quantised = quantize_convolutions(encoder, images)
    int8 = [
        weight
        for weight in quantised.graph.initializer
        if weight.data_type == TensorProto.INT8 and len(weight.dims) == 4
    ]
    assert len(int8) == convolutions - 3 > 3
    assert np.square(run(quantised, images) - expected).mean() < 0.1**2 * np.square(expected).mean()
