"""A graph in int8 computes what it did in float32, but for the rounding, from weights of a quarter of the size."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from cnn_graph import IMAGES, cnn_graph, run
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from looksay.export.quantize import convolutions, products
from looksay.export.static_quantization import quantize_nodes


def quantized(model: onnx.ModelProto, images: NDArray[np.float32] = IMAGES) -> onnx.ModelProto:
    """Return a CNN in int8."""
    return quantize_nodes(model, convolutions(model), [{"image": images[:6]}, {"image": images[6:]}])


@pytest.mark.parametrize("bias", [True, False])
def test_the_features_stay_the_same_but_for_rounding(bias: bool) -> None:
    model = cnn_graph(bias=bias)
    expected = run(model)
    actual = run(quantized(model))
    assert np.square(actual - expected).mean() < 0.02**2 * np.square(expected).mean()


def test_weights_that_round_to_zero_do_not_shift_the_mean() -> None:
    model = cnn_graph()
    (last,) = (weight for weight in model.graph.initializer if weight.name == "last.weight")
    weight = np.full((24, 16, 1, 1), 0.004, dtype=np.float32)  # less than half a step of 1.27 / 127
    weight[:, 0] = 1.27
    last.CopyFrom(numpy_helper.from_array(weight, last.name))
    expected = run(model)
    shift = (run(quantized(model)) - expected).mean(axis=(0, 2, 3))
    assert np.abs(shift).max() < 0.02


def test_a_range_leaves_rare_extremes_out() -> None:
    images = IMAGES.copy()
    images[0, :, 0, 0] = 100  # would take the resolution of all others
    model = cnn_graph()
    expected = run(model)
    actual = run(quantized(model, images))
    assert np.square(actual - expected).mean() < 0.05**2 * np.square(expected).mean()


def product_graph() -> onnx.ModelProto:
    """Return a graph with a linear layer, whose weight is transposed, and a matrix product."""
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(48, 40)), "bias": rng.normal(size=48), "b": rng.normal(size=(48, 30))}
    weights = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    nodes = [
        helper.make_node("Gemm", ["image", "a", "bias"], ["hidden"], "linear", transB=1),
        helper.make_node("MatMul", ["hidden", "b"], ["features"], "product"),
    ]
    image, features = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size])
        for name, size in (("image", 40), ("features", 30))
    )
    model = helper.make_model(
        helper.make_graph(nodes, "products", [image], [features], weights),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    model.ir_version = 10
    return model


def test_products_stay_the_same_but_for_rounding_and_do_not_depend_on_the_batch() -> None:
    rows = np.random.default_rng(1).normal(size=(64, 40)).astype(np.float32)
    model = product_graph()
    expected = run(model, rows)
    after = quantize_nodes(model, products(model), [{"image": rows[:32]}, {"image": rows[32:]}])
    together = run(after, rows)
    assert np.square(together - expected).mean() < 0.02**2 * np.square(expected).mean()
    assert np.array_equal(together, np.concatenate([run(after, row[None]) for row in rows]))


def test_an_output_that_a_product_reads_stays_in_float32() -> None:
    model = product_graph()
    hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["rows", 48])
    model.graph.output.insert(0, hidden)
    rows = np.random.default_rng(1).normal(size=(300, 40)).astype(np.float32)
    after = run(quantize_nodes(model, products(model), [{"image": rows}]), rows)
    assert len(np.unique(after)) > 10_000  # not 256 values


def test_two_neighbouring_weights_do_not_overflow_16_bits() -> None:
    model = product_graph()
    weights = {
        weight.name.removesuffix("_quantized"): numpy_helper.to_array(weight).astype(int)
        for one in (quantized(cnn_graph()), quantize_nodes(model, products(model), [{"image": np.eye(40, dtype="f4")}]))
        for weight in one.graph.initializer
        if weight.data_type == TensorProto.INT8 and len(weight.dims) > 1
    }
    rows = {
        "narrow.weight": weights["narrow.weight"].transpose(0, 2, 3, 1),
        "last.weight": weights["last.weight"].transpose(0, 2, 3, 1),
        "a": weights["a"],
        "b": weights["b"].T,
    }
    assert weights.keys() - rows.keys() == {"deep.weight"}  # depthwise
    for name, row in rows.items():
        assert 100 < np.abs(row).reshape(len(row), -1, 2).sum(axis=2).max() <= 128, name  # times 255: below 32,768
