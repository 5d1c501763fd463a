"""The two graphs of a bundle in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from looksay.bundle import DECODER, ENCODER, Bundle
from looksay.errors import BundleError
from looksay.search import DecoderState, Tokens

Arrays = dict[str, NDArray[np.float32]]


class Network:
    """A CNN that looks and an LSTM that says one word after another.

    Parameters
    ----------
    bundle : Bundle
    threads : int, optional
        CPU threads; by default all cores.
    mark : str
        Stands before the names of all that it remembers, so that several networks can share a `DecoderState`.

    Raises
    ------
    BundleError
        If ONNX Runtime cannot load the model.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, mark: str = "") -> None:
        self.bundle = bundle
        self._mark = mark
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3  # errors only: standard error belongs to the user
        settings.intra_op_num_threads = threads or 0
        try:
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(bundle.folder / name, settings, providers=["CPUExecutionProvider"])
                for name in (ENCODER, DECODER)
            )
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BundleError(f"ONNX Runtime {onnxruntime.__version__} cannot load {bundle.folder}: {error}") from error
        self._needs = [node.name for node in self._decoder.get_inputs() if node.name != "token"]

    def encode(self, pixels: NDArray[np.float32]) -> tuple[Arrays, Arrays]:
        """Look at prepared pictures, shape (pictures, 3, size, size): what `DecoderState.begin` starts from."""
        found = {self._mark + name: array for name, array in _run(self._encoder, {"image": pixels}).items()}
        memory = {name: array for name, array in found.items() if name.startswith(f"{self._mark}memory.")}
        hidden = {name: array for name, array in found.items() if name.startswith(f"{self._mark}state.")}
        return memory, hidden

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], NDArray[np.float32], Arrays]:
        """Read the last word of each row.

        Returns
        -------
        log_probs : ndarray of float32, shape (rows, words)
            Of the next word.
        attention : ndarray of float32, shape (rows, cells)
        hidden : dict of ndarray
            What changed, for the next step.
        """
        known = state.memory | state.hidden
        outputs = _run(self._decoder, {"token": tokens} | {name: known[self._mark + name] for name in self._needs})
        hidden = {self._mark + name: outputs[f"next.{name}"] for name in self._needs if f"next.{name}" in outputs}
        return outputs["log_probs"], outputs["attention"], hidden


def _run(session: onnxruntime.InferenceSession, inputs: dict[str, Any]) -> Arrays:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
