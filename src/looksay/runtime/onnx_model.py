"""The encoder and the decoder of a bundle in ONNX Runtime."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from looksay.decoding.state import DecoderState, Tokens
from looksay.errors import BundleError, OptionError
from looksay.runtime.bundle import DECODER, ENCODER, Bundle
from looksay.types import Device

Arrays = dict[str, NDArray[np.float32]]

SCORES = "scores"
"""The encoder's output with the logits of its classes: (images, classes)."""

WORDS = "words"
"""The encoder's output with the probabilities of its detector's words: (images, words)."""

_PROVIDERS: dict[Device, tuple[str, str]] = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "coreml": ("CoreMLExecutionProvider", "onnxruntime"),
    "directml": ("DmlExecutionProvider", "onnxruntime-directml"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
"""ONNX Runtime's execution provider for each device, and the wheel that has it."""


class OnnxModel:
    """Inference sessions of an encoder and a decoder.

    `prefix` begins the names of all arrays in the state, so that the models of an ensemble share one `DecoderState`.
    Operators that the device does not support run on the CPU. Raises a `BundleError` if ONNX Runtime cannot load the
    model, and an `OptionError` if it cannot use the device. ``classes`` is the number of classes whose logits the
    encoder returns, and ``words`` that of its detector's words.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, prefix: str = "", device: Device = "cpu") -> None:
        self.bundle = bundle
        self._prefix = prefix
        providers = _providers(device)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: standard error belongs to the user
        cores = available_cores()
        # 0: ONNX Runtime counts the host's cores and places its threads on them.
        options.intra_op_num_threads = threads or (cores if cores < (os.cpu_count() or 1) else 0)
        # Threads that keep spinning after a run take cores from the other session.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(bundle.folder / name, options, providers=providers)
                for name in (ENCODER, DECODER)
            )
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BundleError(f"ONNX Runtime {onnxruntime.__version__} cannot load {bundle.folder}: {error}") from error
        if self._encoder.get_providers()[0] != providers[0]:  # ONNX Runtime falls back to the CPU with a warning
            raise OptionError(f"device {device!r} cannot be used: {providers[0]} does not find its driver or libraries")
        outputs = self._encoder.get_outputs()
        self._encoder_outputs = [node.name for node in outputs]
        self.classes, self.words = (
            next((node.shape[1] for node in outputs if node.name == name), 0) for name in (SCORES, WORDS)
        )
        inputs = [node.name for node in self._decoder.get_inputs()]
        self._memory, self._hidden = ([name for name in inputs if name.startswith(k)] for k in ("memory.", "state."))

    def encode(self, pixels: NDArray[np.float32]) -> tuple[Arrays, Arrays]:
        """Return the memory and the hidden arrays for `DecoderState.begin`, from images (images, 3, size, size).

        The memory includes `SCORES` and `WORDS`, if the encoder returns them.
        """
        arrays = dict(zip(self._encoder_outputs, self._encoder.run(None, {"image": pixels}), strict=True))
        memory = {self._prefix + k: array for k, array in arrays.items() if k.startswith(("memory.", SCORES, WORDS))}
        hidden = {self._prefix + k: array for k, array in arrays.items() if k.startswith("state.")}
        return memory, hidden

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], NDArray[np.float32], Arrays]:
        """Read the last token of each row.

        Returns the log-probabilities of the next token (rows, vocab), the attention (rows, cells), and the hidden
        arrays for the next step.
        """
        images = len(next(iter(state.memory.values())))
        inputs = {"token": tokens.reshape(images, -1)}
        for name in self._memory:
            inputs[name] = state.memory[self._prefix + name]
        for name in self._hidden:
            rows = state.hidden[self._prefix + name]
            inputs[name] = rows.reshape(images, -1, rows.shape[1])
        outputs = ["log_probs", "attention", *(f"next.{name}" for name in self._hidden)]
        log_probs, attention, *hidden = (array.reshape(len(tokens), -1) for array in self._decoder.run(outputs, inputs))
        return log_probs, attention, {self._prefix + k: rows for k, rows in zip(self._hidden, hidden, strict=True)}


def _providers(device: Device) -> list[str]:
    """Return the execution providers of a device and of the operators that it does not support."""
    if device not in _PROVIDERS:
        raise OptionError(f"device {device!r} is unknown: it must be {', '.join(_PROVIDERS)}")
    provider, wheel = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise OptionError(
            f"device {device!r} cannot be used: ONNX Runtime {onnxruntime.__version__} has no {provider}; "
            f"pip uninstall onnxruntime, then pip install {wheel}"
        )
    return list(dict.fromkeys([provider, _PROVIDERS["cpu"][0]]))


def available_cores(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the number of cores that the process may use: of its CPU affinity and its cgroups' quotas (Linux).

    A quota of 1.5 cores counts as two. Of nested cgroups, of version 1 or 2, the smallest quota counts.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        lines = own.read_text().split()
    except OSError:
        return cores
    for line in lines:  # ID:CONTROLLERS:PATH; version 2 has no controllers
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        for root in (cgroups / controllers, cgroups / "cpu") if controllers else (cgroups, cgroups / "unified"):
            group = PurePosixPath(name.lstrip("/"))
            for folder in (group, *group.parents):
                cores = min(cores, _quota(root / folder) or cores)
    return cores


def _quota(cgroup: Path) -> int | None:
    """Return the CPU quota of a cgroup in whole cores, None if it has none."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
            return math.ceil(int(quota) / int(period)) if int(quota) > 0 else None
        except (OSError, ValueError, ZeroDivisionError):  # "max" of version 2, or another version
            continue
    return None
