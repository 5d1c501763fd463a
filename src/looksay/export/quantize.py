"""Smaller bundles: the decoder's products in int8, all other weights stored in half precision."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from looksay.bundle import DECODER, ENCODER

_SMALLEST = 1024  # values; smaller tensors are not worth a node


def shrink(folder: Path) -> None:
    """Shrink the graphs of a bundle in place.

    The decoder's matrix products use int8 weights, one scale a column, and activations quantised as they come
    (dynamic quantisation); it reads a quarter of the memory at each word. What else is large is stored as float16 and
    made float32 again when ONNX Runtime loads it, so it computes as before.

    Parameters
    ----------
    folder : Path
        With ``encoder.onnx`` and ``decoder.onnx``.
    """
    decoder = folder / DECODER
    # Unsigned weights: signed ones overflow on x86 processors without VNNI instructions.
    logging.getLogger().addFilter(_no_preprocessing_hint)
    try:
        quantize_dynamic(
            decoder, decoder, per_channel=True, weight_type=QuantType.QUInt8, op_types_to_quantize=["MatMul"]
        )
    finally:
        logging.getLogger().removeFilter(_no_preprocessing_hint)
    for name in (ENCODER, DECODER):
        model = onnx.load(folder / name)
        _store_half(model)
        onnx.save(model, folder / name)


def _no_preprocessing_hint(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def _store_half(model: onnx.ModelProto) -> None:
    """Store large float32 weights as float16, each behind a cast that ONNX Runtime folds when it loads the graph."""
    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < _SMALLEST:
            continue
        name = weight.name
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
