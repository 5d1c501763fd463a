"""Quantisation of a bundle: convolutions and matrix products in int8, other large weights in float16."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.onnx_model import ONNXModel

from looksay.export.quantize_convolutions import quantize_convolutions
from looksay.runtime.bundle import DECODER, ENCODER

_BITS = 8
_BLOCK = 64  # weights that share a scale
_INT8_ACCURACY = 4  # ONNX Runtime's "accuracy level" for products computed in int8
_MIN_VALUES = 1024  # smaller tensors stay in float32


def quantize(folder: Path, images: NDArray[np.float32]) -> None:
    """Quantise the graphs of a bundle in place.

    The CNN's convolutions are quantised with the ranges that their tensors have for `images` (images, 3, size, size) of
    the train split, see `quantize_convolutions`.

    Matrix products become ONNX Runtime's ``MatMulNBits`` with 8-bit weights, a scale for each block of 64, and
    activations quantised row by row; the decoder reads a quarter of the memory at each step. (Dynamic quantisation is
    as fast, but scales the activations of a whole batch together: an image's caption would depend on the other images
    of its batch.) Other large weights are stored as float16, which ONNX Runtime converts to float32 when it loads the
    graph.
    """
    for name in (ENCODER, DECODER):
        model = onnx.load(folder / name)
        if name == ENCODER:
            model = quantize_convolutions(model, images)
        model = _quantize_products(model)
        _store_as_float16(model)
        onnx.save(model, folder / name)


def _quantize_products(model: onnx.ModelProto) -> onnx.ModelProto:
    _untie_weights(model)
    del model.graph.value_info[:]  # the recorded shapes would contradict the transposed weights
    wrapped = ONNXModel(model)
    wrapped.clean_initializers()
    wrapped.replace_gemm_with_matmul()
    logging.getLogger("onnxruntime.quantization").setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(
        wrapped.model, bits=_BITS, block_size=_BLOCK, is_symmetric=True, accuracy_level=_INT8_ACCURACY
    )
    quantizer.process()
    return cast("onnx.ModelProto", quantizer.model.model)


def _untie_weights(model: onnx.ModelProto) -> None:
    """Copy the weights of each product: an embedding that shares them looks up rows of the original."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gemm":
            copy = onnx.TensorProto()
            copy.CopyFrom(weights[node.input[1]])
            copy.name = node.input[1] = f"{node.name}.weight"
            model.graph.initializer.append(copy)


def _store_as_float16(model: onnx.ModelProto) -> None:
    """Store large float32 weights as float16, each behind a cast that ONNX Runtime folds when it loads the graph."""
    graph, casts = model.graph, []
    for weight in graph.initializer:
        name, is_large = weight.name, np.prod(weight.dims) >= _MIN_VALUES
        if weight.data_type != TensorProto.FLOAT or not is_large or name.endswith(("_scale", "_scales")):
            continue
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
