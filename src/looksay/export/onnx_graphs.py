"""A trained model as two ONNX graphs, so that the runtime needs no knowledge of the architecture.

``encoder.onnx`` maps ``image`` to the decoder's inputs that are fixed for an image (``memory.*``), to its first state
(``state.*``) and, if there are a classifier and a word detector, to ``scores`` and ``words``. ``decoder.onnx`` maps
``token``, ``memory.*`` and ``state.*`` to ``log_probs``, ``attention`` and ``next.state.*``. All captions of an
image share one copy of its memory.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from onnxscript.ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn
from torch.export import Dim

from looksay.models.caption_model import CaptionModel
from looksay.runtime.bundle import DECODER, ENCODER
from looksay.runtime.onnx_model import SCORES, WORDS

_OPSET = 20


class EncoderGraph(nn.Module):
    """From ``image`` (images, 3, size, size) to memory, first state and class scores, in a fixed order."""

    def __init__(self, model: CaptionModel, classifier: nn.Linear | None = None) -> None:
        super().__init__()
        self.model, self.classifier = model, classifier

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return memory (images, ...) and state (images, size), and perhaps (images, classes) and (images, words)."""
        features = self.model.encoder(image)
        grid, words = self.model.detect(features)
        memory, state = self.model.decoder.begin(grid)
        scores = [self.classifier(features.mean(dim=1))] if self.classifier else []
        detected = [] if words is None else [words.sigmoid()]
        # The outputs of a graph must be distinct tensors; a decoder may start several states from one.
        return (*memory.values(), *(value.clone() for value in state.values()), *scores, *detected)


class DecoderStep(nn.Module):
    """One decoding step of all captions, the same number for every image; `memory` and `state` name its inputs."""

    def __init__(self, model: CaptionModel, memory: list[str], state: list[str]) -> None:
        super().__init__()
        self.decoder, self.memory, self.state = model.decoder, memory, state

    def forward(self, token: Tensor, memory: list[Tensor], state: list[Tensor]) -> tuple[Tensor, ...]:
        """Return log-probabilities, attention and next state, all (images, captions, ...).

        `token` is (images, captions), the memory tensors are (images, ...), the state (images, captions, size).
        """
        shape = token.shape
        rows = {name: value.flatten(0, 1) for name, value in zip(self.state, state, strict=True)}
        embedded = self.decoder.embedding(token.flatten())
        output, rows, attention = self.decoder.step(embedded, dict(zip(self.memory, memory, strict=True)), rows)
        log_probs = self.decoder.output_head(output).log_softmax(dim=-1)
        outputs = (log_probs, attention, *(rows[name] for name in self.state))
        return tuple(value.unflatten(0, shape) for value in outputs)


@torch.no_grad()
def write(model: CaptionModel, size: int, folder: Path, classifier: nn.Linear | None = None) -> None:
    """Write ``encoder.onnx`` and ``decoder.onnx``, both for any batch size.

    `model` is in evaluation mode, in fp32 and on the CPU; its images have `size` × `size` pixels. `classifier` scores
    classes from the pooled features, for the graph's output `SCORES`.
    """
    image = torch.zeros(2, 3, size, size)
    memory, state = model.decoder.begin(model.detect(model.encoder(image))[0])
    names = [*(f"memory.{name}" for name in memory), *(f"state.{name}" for name in state)]
    outputs = [*names, *([SCORES] if classifier else []), *([WORDS] if model.detector else [])]
    _export(EncoderGraph(model, classifier), (image,), ({0: Dim("images")},), ["image"], outputs, folder / ENCODER)
    token = torch.zeros(2, 3, dtype=torch.int64)
    states = [value[:, None].repeat(1, 3, 1) for value in state.values()]
    rows = {0: Dim("images"), 1: Dim("captions")}
    _export(
        DecoderStep(model, list(memory), list(state)),
        (token, [value.clone() for value in memory.values()], states),
        (rows, [{0: rows[0]} for _ in memory], [rows for _ in states]),
        ["token", *names],
        ["log_probs", "attention", *(f"next.state.{name}" for name in state)],
        folder / DECODER,
    )


def _export(
    module: nn.Module, inputs: tuple[Any, ...], shapes: Any, names: list[str], outputs: list[str], file: Path
) -> None:
    for name in ("torch.onnx", "onnxscript"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecated parts; `parity` verifies the result
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            input_names=names,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            verbose=False,
        )
    assert program is not None  # noqa: S101 (with dynamo=True)
    ClearMetadataAndDocStringPass()(program.model)  # stack traces name files of the machine that exports
    program.save(file)
