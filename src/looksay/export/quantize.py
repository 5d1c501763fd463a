"""Quantisation of a bundle: convolutions and matrix products in int8, other large weights in float16."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from looksay.export.activations import Array, decoder_inputs, encoder_inputs
from looksay.export.static_quantization import PRODUCTS, quantize_nodes
from looksay.runtime.bundle import DECODER, ENCODER

_FLOAT_CONVOLUTIONS = 3  # the first ones
_CNN_OPERATORS = {"Conv", "Clip", "Relu", "Add", "Concat", "MaxPool", "AveragePool"}  # ONNX Runtime has them in int8
_MIN_VALUES = 1024  # smaller tensors stay in float32


def quantize(folder: Path, images: Array) -> None:
    """Quantise the graphs of a bundle in place, with standard ONNX operators.

    Convolutions and the products of activations and weights are computed in int8, see `quantize_nodes`. The ranges of
    activations are fixed: they are those of `images` and of their captions. (Ranges of the tensor at hand would be more
    precise, but the caption of an image would depend on the other images of its batch.) Other large weights are stored
    as float16, which ONNX Runtime converts to float32 when it loads the graph.

    Parameters
    ----------
    folder : Path
        A bundle in float32.
    images : ndarray of float32, shape (images, 3, size, size)
        What `images.normalise` returns for some images of the train split; 128 are sufficient.
    """
    encoder, decoder = (onnx.load(folder / name) for name in (ENCODER, DECODER))
    # The decoder first: its inputs are outputs of both graphs in float32.
    decoder = quantize_nodes(decoder, products(decoder), decoder_inputs(encoder, decoder, images))
    encoder = quantize_nodes(encoder, [*convolutions(encoder), *products(encoder)], encoder_inputs(images))
    for name, model in ((ENCODER, encoder), (DECODER, decoder)):
        _store_as_float16(model)
        onnx.save(model, folder / name)


def convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return a CNN's convolutions, the operators between them, and the activation of the last.

    The first three are left out: in EfficientNet-Lite1 two fifths of the squared error came from them, and they are not
    faster in int8. A CNN with other operators, such as the SiLU of EfficientNet, is left out as a whole: converting its
    tensors between int8 and float32 would take longer than the convolutions save.
    """
    nodes = list(model.graph.node)
    places = [place for place, node in enumerate(nodes) if node.op_type == "Conv"][_FLOAT_CONVOLUTIONS:]
    between = nodes[places[0] : places[-1] + 1] if places else []
    if not between or not {node.op_type for node in between} <= _CNN_OPERATORS:
        return []
    activations = [
        node for node in nodes if node.op_type in ("Clip", "Relu") and node.input[0] == between[-1].output[0]
    ]
    return between + activations


def products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the matrix products of activations and weights, with operands of their own.

    Weights that another node reads too are copied: an embedding that shares them with the output layer looks up rows
    of the original. An output of the graph is copied as well, so that it stays in float32.
    """
    outputs = {output.name for output in model.graph.output}
    weights = {weight.name: weight for weight in model.graph.initializer}
    uses = Counter(name for node in model.graph.node for name in node.input)
    nodes = [
        node
        for node in model.graph.node
        if node.op_type in PRODUCTS and node.input[1] in weights and _values(weights[node.input[1]]) >= _MIN_VALUES
    ]
    for node in nodes:
        if uses[node.input[1]] > 1:
            copy = onnx.TensorProto()
            copy.CopyFrom(weights[node.input[1]])
            copy.name = node.input[1] = f"{node.name}.weight"
            model.graph.initializer.append(copy)
        if node.input[0] in outputs:
            own = helper.make_node("Identity", [node.input[0]], [f"{node.name}.input"], f"{node.name}.copy")
            node.input[0] = own.output[0]
            model.graph.node.append(own)  # the quantiser sorts the nodes
    return nodes


def _values(tensor: onnx.TensorProto) -> int:
    return int(np.prod(tensor.dims))


def _store_as_float16(model: onnx.ModelProto) -> None:
    """Store large float32 weights as float16, each behind a cast that ONNX Runtime folds when it loads the graph."""
    graph, casts = model.graph, []
    for weight in graph.initializer:
        name, is_scale = weight.name, weight.name.endswith("_scale")
        if weight.data_type != TensorProto.FLOAT or _values(weight) < _MIN_VALUES or is_scale:
            continue
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
