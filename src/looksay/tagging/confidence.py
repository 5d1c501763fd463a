"""Confidence: the probability that a caption is right, from its own probability and the words that were detected."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from looksay.errors import BundleError, LowConfidence
from looksay.types import Caption

FEATURES = ("log_prob", "length", "mean", "least", "best")
"""What the confidence of a caption depends on; see `ConfidenceModel.features`."""

_TINY = 1e-4


@dataclass(frozen=True)
class ConfidenceModel:
    """A logistic regression (Platt 1999), fitted to val captions that are right or wrong; see `looksay.export`."""

    words: tuple[str, ...]  # of the detector, in the order of the encoder's output
    weights: tuple[float, ...]  # of `FEATURES`
    bias: float

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def features(self, tokens: Sequence[str], log_prob: float, detected: NDArray[np.floating]) -> list[float]:
        """Return the features of a caption, in the order of `FEATURES`.

        `log_prob` is divided by the caption's length. The others are the length, the mean, the least and the greatest
        log-probability of those of its words that the detector knows; `detected` (words,) are all its probabilities.
        """
        known = [detected[self._places[word]] for word in tokens if word in self._places]
        logs = [math.log(max(_TINY, float(probability))) for probability in known] or [math.log(_TINY)]
        return [log_prob / (len(tokens) + 1), float(len(tokens)), float(np.mean(logs)), min(logs), max(logs)]

    def __call__(self, tokens: Sequence[str], log_prob: float, detected: NDArray[np.floating]) -> float:
        """Return the probability, 0 to 1, that a caption is right; see `features` for the parameters."""
        features = self.features(tokens, log_prob, detected)
        logit = self.bias + sum(weight * value for weight, value in zip(self.weights, features, strict=True))
        return 1 / (1 + math.exp(-logit))

    def save(self, path: Path) -> None:
        """Write the model as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ConfidenceModel:
        """Read a file that `save` wrote; raise a `BundleError` if it is missing or is not one."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            weights = tuple(map(float, data["weights"]))
            if len(weights) != len(FEATURES):
                raise ValueError(f"{len(weights)} weights in place of {len(FEATURES)}")
            return cls(tuple(map(str, data["words"])), weights, float(data["bias"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{path} is not a confidence model that looksay wrote: {error!r}; export the model again"
            ) from error


def trusted(captions: list[Caption], least: float, name: str) -> list[Caption] | LowConfidence:
    """Return the captions of an image, or an error with its name if the confidence of the best one is below `least`."""
    best = captions[0]
    if best.confidence is None or best.confidence >= least:
        return captions
    return LowConfidence(f"{name}: left out, confidence {best.confidence:.2f} is below {least:g}: {best.text}")
