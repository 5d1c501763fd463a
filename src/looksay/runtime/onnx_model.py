"""The two graphs of a bundle in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from looksay.decoding.state import DecoderState, Tokens
from looksay.errors import BundleError, OptionError
from looksay.runtime.bundle import DECODER, ENCODER, Bundle
from looksay.types import Device

Arrays = dict[str, NDArray[np.float32]]

SCORES = "scores"
"""The encoder's output of its classes' scores, before the softmax: (images, classes)."""

_PROVIDERS: dict[Device, tuple[str, str]] = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
"""What ONNX Runtime calls a device, and the wheel that can use it."""


class OnnxModel:
    """A CNN that looks and an LSTM that says one word after another.

    Parameters
    ----------
    bundle : Bundle
    threads : int, optional
        CPU threads; by default all cores.
    mark : str
        Stands before the names of all that it remembers, so that several networks can share a `DecoderState`.
    device : Device
        What it cannot run is run on the CPU.

    Attributes
    ----------
    bundle : Bundle
    classes : int
        How many classes the encoder tells the scores of; 0 for none.

    Raises
    ------
    BundleError
        If ONNX Runtime cannot load the model.
    OptionError
        If this ONNX Runtime cannot use the device.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, mark: str = "", device: Device = "cpu") -> None:
        self.bundle = bundle
        self._mark = mark
        providers = _providers(device)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3  # errors only: standard error belongs to the user
        settings.intra_op_num_threads = threads or 0
        # Threads that go on spinning after a run take the cores from whichever of the two graphs is at work then.
        settings.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(bundle.folder / name, settings, providers=providers)
                for name in (ENCODER, DECODER)
            )
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BundleError(f"ONNX Runtime {onnxruntime.__version__} cannot load {bundle.folder}: {error}") from error
        if self._encoder.get_providers()[0] != providers[0]:  # it warns of missing libraries, and goes on without
            raise OptionError(f"device is {device!r}; ONNX Runtime has {providers[0]}, but not its driver or libraries")
        needed = {node.name: node.shape for node in self._decoder.get_inputs()}
        if len(needed["token"]) != 2:
            raise BundleError(f"{bundle.folder} was made by an older looksay; export its run again")
        self._seen = [node.name for node in self._encoder.get_outputs()]
        self.classes = next((node.shape[1] for node in self._encoder.get_outputs() if node.name == SCORES), 0)
        self._memory, self._state = ([name for name in needed if name.startswith(k)] for k in ("memory.", "state."))

    def encode(self, pixels: NDArray[np.float32]) -> tuple[Arrays, Arrays]:
        """Look at prepared images, shape (images, 3, size, size): what `DecoderState.begin` starts from.

        The memory also has the scores of the encoder's classes, as `SCORES`, if it tells them.
        """
        made = self._encoder.run(self._seen, {"image": pixels})
        found = {self._mark + name: array for name, array in zip(self._seen, made, strict=True)}
        remembered = (f"{self._mark}memory.", self._mark + SCORES)
        memory = {name: array for name, array in found.items() if name.startswith(remembered)}
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
        images = len(next(iter(state.memory.values())))
        inputs = {"token": tokens.reshape(images, -1)}
        for name in self._memory:
            inputs[name] = state.memory[self._mark + name]
        for name in self._state:
            rows = state.hidden[self._mark + name]
            inputs[name] = rows.reshape(images, -1, rows.shape[1])
        outputs = ["log_probs", "attention", *(f"next.{name}" for name in self._state)]
        log_probs, attention, *after = (rows.reshape(len(tokens), -1) for rows in self._decoder.run(outputs, inputs))
        return log_probs, attention, {self._mark + name: rows for name, rows in zip(self._state, after, strict=True)}


def _providers(device: Device) -> list[str]:
    """Return ONNX Runtime's names of a device and of what runs the rest."""
    if device not in _PROVIDERS:
        raise OptionError(f"device is {device!r}; it must be {', '.join(_PROVIDERS)}")
    provider, wheel = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise OptionError(
            f"device is {device!r}; this ONNX Runtime ({onnxruntime.__version__}) has no {provider}: "
            f"pip uninstall onnxruntime, then pip install {wheel}"
        )
    return list(dict.fromkeys([provider, _PROVIDERS["cpu"][0]]))
