"""Export parity: whether the exported model generates the captions of the trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from looksay import images
from looksay.captioner import Captioner
from looksay.decoding.state import DecoderState
from looksay.errors import ImageError, ParityError
from looksay.models.caption_model import CaptionModel

IMAGES = 200
_BATCH = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parity:
    """The result of a comparison."""

    images: int
    same: int  # images with the same caption, token for token
    first_step: float  # largest absolute difference between log-probabilities of the first token
    caption: float  # the same, of equal captions
    first_difference: str = ""  # the first pair of captions that differ

    def __str__(self) -> str:
        return (
            f"{self.same} of {self.images} captions are the same; largest difference in log-probability "
            f"{self.first_step:.1e} at the first word, {self.caption:.1e} over a caption"
        )


@torch.no_grad()
def compare(model: CaptionModel, captioner: Captioner, paths: Sequence[Path]) -> Parity:
    """Caption the first `IMAGES` readable images with both models and the captioner's decoding options.

    `model` is in evaluation mode, in fp32 and on the CPU; `captioner` has the exported model.
    """
    spec, vocabulary = captioner.bundle.spec, captioner.bundle.vocabulary
    pixels: list[NDArray[np.float32]] = []
    for path in paths:
        with suppress(ImageError):
            pixels.append(images.prepare(path, spec.image))
        if len(pixels) == IMAGES:
            break
    if not pixels:
        raise ParityError("no image of the val split can be read, so the export cannot be verified: check --data.")
    same, first_step, caption, first_difference = 0, 0.0, 0.0, ""
    for start in range(0, len(pixels), _BATCH):
        batch = np.stack(pixels[start : start + _BATCH])
        grid = model.encoder(torch.from_numpy(batch))
        state = captioner.encode([(image,) for image in batch])
        tokens = np.full(len(batch), vocabulary.start)
        expected, _ = model.step(tokens, DecoderState.begin(*model.decoder.begin(grid)))
        actual, _ = captioner.step(tokens, state)
        first_step = max(first_step, float(np.abs(expected - actual).max()))
        trained = model.captions(grid, vocabulary, spec.decoding)
        exported = captioner.decode(state, spec.decoding)
        for (expected_best, *_), (actual_best, *_) in zip(trained, exported, strict=True):
            if expected_best.tokens == actual_best.tokens:
                same += 1
                caption = max(caption, abs(expected_best.log_prob - actual_best.log_prob))
            elif not first_difference:
                texts = vocabulary.decode(expected_best.tokens), vocabulary.decode(actual_best.tokens)
                first_difference = "trained: {!r}, exported: {!r}".format(*texts)
    result = Parity(len(pixels), same, first_step, caption, first_difference)
    log.info("%s", result)
    return result
