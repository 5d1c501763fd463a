"""Static quantisation of a graph's nodes to int8: fixed ranges, a scale for each output channel, corrected biases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from looksay.export.activations import Array, Inputs, observe

_SHARES = np.linspace(0.5, 1, 11)  # candidates for a tensor's range, as shares of the range of its values
PRODUCTS = ("Gemm", "MatMul")
"""The operators of matrix products: their inputs become int8, and their results stay in float32."""


def quantize_nodes(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], inputs: Iterable[Inputs]
) -> onnx.ModelProto:
    """Quantise nodes of a float32 graph; int8 tensors flow from one convolution to the next.

    A weight has 8 bits and a scale for each output channel. An activation has 8 bits and a fixed range, the one with
    the smallest squared error for the values that it has with `inputs`. Rounding a weight shifts the mean output of a
    convolution, because inputs after an activation function are positive; its bias takes the shift back (Nagel et al.
    2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with measured means).

    `model` is changed in place; each weight is read by one of the nodes.
    """
    if not nodes:
        return model
    weights = {weight.name: weight for weight in model.graph.initializer}
    inputs_of_nodes = {name for node in nodes for name in node.input if name and name not in weights}
    tensors = inputs_of_nodes | {node.output[0] for node in nodes if node.op_type not in PRODUCTS}
    observations = observe(model, sorted(tensors), inputs)
    for node in nodes:
        if node.op_type == "Conv":
            _correct_bias(model.graph, node, weights, observations[node.input[0]].means)
    ranges = {name: _range(observation.values) for name, observation in observations.items()}
    scales = {
        node.input[1]: [
            {"axis": _output_axis(node), "scale": scale, "zero_point": 0} for scale in _scales(node, weights)
        ]
        for node in nodes
        if node.op_type in ("Conv", *PRODUCTS)
    }
    quantizer = QDQQuantizer(
        model, per_channel=True, reduce_range=False, weight_qType=QuantType.QInt8, activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges), nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[], op_types_to_quantize=list({node.op_type for node in nodes}),
        extra_options={"TensorQuantOverrides": scales, "OpTypesToExcludeOutputQuantization": list(PRODUCTS)},
    )  # fmt: skip
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return cast("onnx.ModelProto", quantizer.model.model)


def _range(values: Array) -> tuple[Array, Array]:
    """Return the lowest and the highest value that 8 bits encode, with the smallest squared error."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)

    def error(share: float) -> float:
        scale = max(share * (high - low), 1e-9) / 255
        quantised = np.round(np.clip(values, share * low, share * high) / scale) * scale
        return float(np.square(quantised - values).mean())

    best = min(_SHARES, key=error)
    return np.float32(best * low).reshape(1), np.float32(best * high).reshape(1)


def _output_axis(node: onnx.NodeProto) -> int:
    """Return the axis of a node's weight that its outputs have: of (out, in, height, width), (out, in) or (in, out)."""
    is_transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if node.op_type == "Conv" or is_transposed else 1


def _scales(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> Array:
    """Return the scale of each output channel of a node's weight.

    x86 CPUs without VNNI sum two neighbouring products of an activation (0 to 255) and a weight in 16 bits. Two
    rounded weights of 128 together do not overflow them, so captions are the same on all CPUs.
    """
    weight = np.moveaxis(np.abs(numpy_helper.to_array(weights[node.input[1]])), _output_axis(node), 0)
    rows = np.moveaxis(weight, 1, -1).reshape(len(weight), -1)
    if weight.shape[1] > 1:  # depthwise convolutions are computed in another way
        rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).reshape(len(weight), -1, 2).sum(axis=2)
    scales: Array = np.maximum(rows.max(axis=1) / 127, np.float32(1e-12))
    return scales


def _correct_bias(
    graph: onnx.GraphProto, node: onnx.NodeProto, weights: dict[str, onnx.TensorProto], means: Array
) -> None:
    """Add to a convolution's bias what rounding its weight takes from its mean output, given its mean input."""
    weight = numpy_helper.to_array(weights[node.input[1]])
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    scale = _scales(node, weights)[:, None, None, None]
    lost = (weight - np.round(weight / scale) * scale).sum(axis=(2, 3)).reshape(groups, -1, weight.shape[1])
    shift = np.einsum("goi,gi->go", lost, means.reshape(groups, -1)).reshape(-1)
    if len(node.input) == 2:
        bias = numpy_helper.from_array(np.zeros_like(shift), f"{node.name}.bias")
        graph.initializer.append(bias)
        weights[bias.name] = graph.initializer[-1]
        node.input.append(bias.name)
    bias = weights[node.input[2]]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + shift, bias.name))
