"""Quantisation of a CNN's convolutions to int8, with ranges and corrections from a few training images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

Array = NDArray[np.float32]

_FLOAT_CONVOLUTIONS = 3  # the first ones
_OPERATORS = {"Conv", "Clip", "Relu", "Add", "Concat", "MaxPool", "AveragePool"}  # those that ONNX Runtime has in int8
_BATCH = 8
_SAMPLES = 8192  # values of a tensor, of each batch
_SHARES = np.linspace(0.5, 1, 11)  # candidates for a tensor's range, as shares of the range of its values


class _Observation(NamedTuple):
    """Values of a tensor in float32: a sample of them, and the mean of each channel."""

    values: Array
    means: Array


def quantize_convolutions(model: onnx.ModelProto, images: Array) -> onnx.ModelProto:
    """Quantise the convolutions of a CNN and the operators between them, so that int8 tensors flow through it.

    A weight has 8 bits and a scale for each output channel. An activation has 8 bits and a fixed range, the one with
    the smallest squared error for values of `images`. Rounding a weight shifts the mean output of its convolution,
    because inputs after an activation function are positive; the bias takes the shift back (Nagel et al. 2019,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, with measured means). The
    first three convolutions stay in float32: in EfficientNet-Lite1 two fifths of the squared error came from them, and
    they are not slower in it.

    A CNN with other operators, such as the SiLU of EfficientNet, is left as it is: converting its tensors between int8
    and float32 would take longer than the convolutions save.

    Parameters
    ----------
    model : onnx.ModelProto
        A float32 graph with the input ``image``. It is changed in place.
    images : ndarray of float32, shape (images, 3, size, size)
        What `images.normalise` returns for some images of the train split; 128 are sufficient.
    """
    nodes = _nodes_to_quantize(model.graph)
    if not nodes:
        return model
    weights = {weight.name: weight for weight in model.graph.initializer}
    tensors = {name for node in nodes for name in (*node.input, *node.output) if name and name not in weights}
    observations = _observe(model, sorted(tensors), images)
    for node in nodes:
        if node.op_type == "Conv":
            _correct_bias(model.graph, node, weights, observations[node.input[0]].means)
    ranges = {name: _range(observation.values) for name, observation in observations.items()}
    scales = {
        node.input[1]: [{"axis": 0, "scale": scale, "zero_point": 0} for scale in _scales(weights[node.input[1]])]
        for node in nodes
        if node.op_type == "Conv"
    }
    quantizer = QDQQuantizer(
        model, per_channel=True, reduce_range=False, weight_qType=QuantType.QInt8, activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges), nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[], op_types_to_quantize=list(_OPERATORS), extra_options={"TensorQuantOverrides": scales},
    )  # fmt: skip
    quantizer.quantize_model()
    return cast("onnx.ModelProto", quantizer.model.model)


def _nodes_to_quantize(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the convolutions but the first, the operators between them, and the activation of the last."""
    nodes = list(graph.node)
    convolutions = [index for index, node in enumerate(nodes) if node.op_type == "Conv"][_FLOAT_CONVOLUTIONS:]
    between = nodes[convolutions[0] : convolutions[-1] + 1] if convolutions else []
    if not between or not {node.op_type for node in between} <= _OPERATORS:
        return []
    activations = [
        node for node in nodes if node.op_type in ("Clip", "Relu") and node.input[0] == between[-1].output[0]
    ]
    return between + activations


def _observe(model: onnx.ModelProto, tensors: Sequence[str], images: Array) -> dict[str, _Observation]:
    """Run a graph and return values of its tensors."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    outputs = {output.name for output in model.graph.output}
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors if name not in outputs
    )
    session = onnxruntime.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    values: dict[str, list[Array]] = defaultdict(list)
    means: dict[str, list[Array]] = defaultdict(list)
    for start in range(0, len(images), _BATCH):
        arrays = session.run(tensors, {"image": images[start : start + _BATCH]})
        for name, array in zip(tensors, arrays, strict=True):
            values[name].append(array.reshape(-1)[rng.integers(array.size, size=_SAMPLES)])
            means[name].extend(array.mean(axis=tuple(range(2, array.ndim))))
    return {name: _Observation(np.concatenate(values[name]), np.mean(means[name], axis=0)) for name in tensors}


def _range(values: Array) -> tuple[Array, Array]:
    """Return the lowest and the highest value that 8 bits encode, with the smallest squared error."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)

    def error(share: float) -> float:
        scale = max(share * (high - low), 1e-9) / 255
        quantised = np.round(np.clip(values, share * low, share * high) / scale) * scale
        return float(np.square(quantised - values).mean())

    best = min(_SHARES, key=error)
    return np.float32(best * low).reshape(1), np.float32(best * high).reshape(1)


def _scales(tensor: onnx.TensorProto) -> Array:
    """Return the scale of each output channel of a convolution's weight (out, in, height, width).

    x86 CPUs without VNNI sum two neighbouring products of an activation (0 to 255) and a weight in 16 bits. Two
    rounded weights of 128 together do not overflow them, so captions are the same on all CPUs.
    """
    weight = np.abs(numpy_helper.to_array(tensor))
    rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
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
    scale = _scales(weights[node.input[1]])[:, None, None, None]
    lost = (weight - np.round(weight / scale) * scale).sum(axis=(2, 3)).reshape(groups, -1, weight.shape[1])
    shift = np.einsum("goi,gi->go", lost, means.reshape(groups, -1)).reshape(-1)
    if len(node.input) == 2:
        bias = numpy_helper.from_array(np.zeros_like(shift), f"{node.name}.bias")
        graph.initializer.append(bias)
        weights[bias.name] = graph.initializer[-1]
        node.input.append(bias.name)
    bias = weights[node.input[2]]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + shift, bias.name))
