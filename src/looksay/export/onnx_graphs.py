"""A trained model as two ONNX graphs: look once, then say a word at a time.

``encoder.onnx`` turns ``image`` into all that the decoder looks at (``memory.*``) and its first state (``state.*``),
and perhaps ``scores`` of the classes that it was first trained for;
``decoder.onnx`` turns ``token``, ``memory.*`` and ``state.*`` into ``log_probs``, ``attention`` and ``next.state.*``.
So the runtime needs to know no architecture. An image's memory stands once, however many captions look at it.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from looksay.models.caption_model import CaptionModel
from looksay.runtime.bundle import DECODER, ENCODER
from looksay.runtime.onnx_model import SCORES

_OPSET = 20


class _Look(nn.Module):
    """Encoder and the decoder's first look, with the outputs in a fixed order; the classifier's scores stand last."""

    def __init__(self, model: CaptionModel, classifier: nn.Linear | None) -> None:
        super().__init__()
        self.model = model
        self.classifier = classifier

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        grid = self.model.encoder(image)
        memory, state = self.model.decoder.begin(grid)
        scores = [self.classifier(grid.mean(dim=1))] if self.classifier else []
        # A graph's outputs must be tensors of their own, and a decoder may start several states from one.
        return (*memory.values(), *(value.clone() for value in state.values()), *scores)


class _Say(nn.Module):
    """One step of the decoder."""

    def __init__(self, model: CaptionModel, memory: list[str], state: list[str]) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.memory = memory
        self.state = state

    def forward(self, token: Tensor, arrays: list[Tensor]) -> tuple[Tensor, ...]:
        shape = token.shape  # (images, captions); the decoder knows rows only
        memory = dict(zip(self.memory, arrays, strict=False))
        state = {name: array.flatten(0, 1) for name, array in zip(self.state, arrays[len(memory) :], strict=True)}
        output, state, attention = self.decoder.step(self.decoder.embedding(token.flatten()), memory, state)
        log_probs = self.decoder.output_head(output).log_softmax(dim=-1)
        found = (log_probs, attention, *(state[name] for name in self.state))
        return tuple(rows.unflatten(0, shape) for rows in found)


@torch.no_grad()
def write(model: CaptionModel, size: int, folder: Path, classifier: nn.Linear | None = None) -> None:
    """Write ``encoder.onnx`` and ``decoder.onnx``, both for any batch.

    Parameters
    ----------
    model : CaptionModel
        In evaluation mode, in fp32 and on the CPU.
    size : int
        Height and width of its images.
    folder : Path
    classifier : nn.Linear, optional
        Scores classes from the mean cell of the grid, as the graph's output `SCORES`.
    """
    image = torch.zeros(2, 3, size, size)
    memory, state = model.decoder.begin(model.encoder(image))
    seen = [*(f"memory.{name}" for name in memory), *(f"state.{name}" for name in state)]
    told = [*seen, *([SCORES] if classifier else [])]
    _export(_Look(model, classifier), (image,), ({0: Dim("images")},), ["image"], told, folder / ENCODER)
    captions = 3
    beams = [value[:, None].repeat(1, captions, 1) for value in state.values()]
    rows = {0: Dim("images"), 1: Dim("captions")}
    _export(
        _Say(model, list(memory), list(state)),
        (torch.zeros(2, captions, dtype=torch.int64), [*(value.clone() for value in memory.values()), *beams]),
        (rows, [*({0: rows[0]} for _ in memory), *(rows for _ in beams)]),
        ["token", *seen],
        ["log_probs", "attention", *(f"next.state.{name}" for name in state)],
        folder / DECODER,
    )


def _export(
    module: nn.Module, inputs: tuple[Any, ...], shapes: Any, names: list[str], outputs: list[str], file: Path
) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecated parts; parity is checked after it
        torch.onnx.export(
            module.eval(),
            inputs,
            file,
            dynamo=True,
            input_names=names,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=_OPSET,
            external_data=False,
            verbose=False,
        )
    _forget_the_maker(file)


def _forget_the_maker(file: Path) -> None:
    """Take out stack traces, which name files of the machine that exported the graph."""
    model = onnx.load(file)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, file)
