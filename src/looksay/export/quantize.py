"""Smaller bundles: matrix products in int8, all other weights stored in half precision."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.onnx_model import ONNXModel

from looksay.runtime.bundle import DECODER, ENCODER

_BITS = 8
_BLOCK = 64  # weights that share a scale
_INT8_PRODUCTS = 4  # ONNX Runtime's "accuracy level" at which products are made in int8
_SMALLEST = 1024  # values; smaller tensors are not worth a node


def shrink(folder: Path) -> None:
    """Shrink the graphs of a bundle in place.

    Matrix products (all but the CNN's convolutions) become ONNX Runtime's ``MatMulNBits`` with 8-bit weights, a scale
    for each block of 64, and activations quantised row by row; the decoder reads a quarter of the memory at each word.
    (Ordinary dynamic quantisation is as fast, but scales the activations of a whole batch together: an image's caption
    would depend on its neighbours.) What else is large is stored as float16 and made float32 again when ONNX Runtime
    loads it.

    Parameters
    ----------
    folder : Path
        With ``encoder.onnx`` and ``decoder.onnx``.
    """
    for name in (ENCODER, DECODER):
        model = _int8_products(onnx.load(folder / name))
        _store_half(model)
        onnx.save(model, folder / name)


def _int8_products(model: onnx.ModelProto) -> onnx.ModelProto:
    _untie(model)
    del model.graph.value_info[:]  # shapes noted before weights are transposed would contradict them
    plain = ONNXModel(model)
    plain.replace_gemm_with_matmul()
    logging.getLogger("onnxruntime.quantization").setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(
        plain.model, bits=_BITS, block_size=_BLOCK, is_symmetric=True, accuracy_level=_INT8_PRODUCTS
    )
    quantizer.process()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def _untie(model: onnx.ModelProto) -> None:
    """Give each product weights of its own: tied ones are also looked up as words, which needs them as they are."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gemm":
            own = onnx.TensorProto()
            own.CopyFrom(weights[node.input[1]])
            own.name = node.input[1] = f"{node.name}.weight"
            model.graph.initializer.append(own)
    used = {name for node in model.graph.node for name in node.input}
    kept = [weight for weight in model.graph.initializer if weight.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _store_half(model: onnx.ModelProto) -> None:
    """Store large float32 weights as float16, each behind a cast that ONNX Runtime folds when it loads the graph."""
    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < _SMALLEST or weight.name.endswith("_scales"):
            continue
        name = weight.name
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
