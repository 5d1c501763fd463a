"""What the tensors of a float32 graph hold while images are captioned: samples and means, for quantisation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from looksay.text.vocabulary import Vocabulary

Array = NDArray[np.float32]
Inputs = dict[str, NDArray[Any]]
"""The inputs of a graph by name."""

_BATCH = 8
_WORDS = 12  # of a caption
_SAMPLES = 8192  # values of a tensor, of each run


class Observation(NamedTuple):
    """Values of a tensor: a sample of them, and the mean of each channel."""

    values: Array
    means: Array


def observe(model: onnx.ModelProto, tensors: Sequence[str], inputs: Iterable[Inputs]) -> dict[str, Observation]:
    """Run a graph with several inputs and return values of its tensors."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    outputs = {output.name for output in model.graph.output}
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors if name not in outputs
    )
    session = _session(observed)
    rng = np.random.default_rng(0)
    values: dict[str, list[Array]] = defaultdict(list)
    means: dict[str, list[Array]] = defaultdict(list)
    for arrays in inputs:
        for name, array in zip(tensors, session.run(tensors, arrays), strict=True):
            values[name].append(array.reshape(-1)[rng.integers(array.size, size=_SAMPLES)])
            means[name].extend(array.mean(axis=tuple(range(2, array.ndim))))
    return {name: Observation(np.concatenate(values[name]), np.mean(means[name], axis=0)) for name in tensors}


def encoder_inputs(images: Array) -> Iterator[Inputs]:
    """Yield the encoder's inputs for images (images, 3, size, size)."""
    for start in range(0, len(images), _BATCH):
        yield {"image": images[start : start + _BATCH]}


def decoder_inputs(encoder: onnx.ModelProto, decoder: onnx.ModelProto, images: Array) -> Iterator[Inputs]:
    """Yield the decoder's inputs at the first words of captions of images, decoded greedily and without an end."""
    encode, step = _session(encoder), _session(decoder)
    encoded, decoded = ([output.name for output in session.get_outputs()] for session in (encode, step))
    names = {node.name for node in step.get_inputs()}
    for image in encoder_inputs(images):
        arrays = dict(zip(encoded, encode.run(None, image), strict=True))
        state = {
            name: array[:, None] if name.startswith("state.") else array
            for name, array in arrays.items()
            if name in names
        }
        token = np.full((len(image["image"]), 1), Vocabulary.start)
        for _ in range(_WORDS):
            yield {"token": token, **state}
            outputs = dict(zip(decoded, step.run(None, {"token": token, **state}), strict=True))
            outputs["log_probs"][:, :, Vocabulary.end] = -np.inf
            token = outputs["log_probs"].argmax(axis=2)
            state |= {name: outputs[f"next.{name}"] for name in names if name.startswith("state.")}


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
