"""Export parity: whether the exported model generates the captions of the trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from looksay.captioner import Captioner
from looksay.data import Record
from looksay.decoding.state import DecoderState
from looksay.errors import ParityError
from looksay.evaluation.evaluate import readable_batches
from looksay.models.caption_model import CaptionModel

IMAGES = 200

log = logging.getLogger(__name__)


@dataclass
class Parity:
    """The result of a comparison."""

    images: int = 0
    same: int = 0  # images with the same caption, token for token
    first_step: float = 0.0  # largest absolute difference between log-probabilities of the first token
    caption: float = 0.0  # the same, of equal captions
    first_difference: str = ""  # the first pair of captions that differ

    def __str__(self) -> str:
        return (
            f"{self.same} of {self.images} captions are the same; largest difference in log-probability "
            f"{self.first_step:.1e} at the first word, {self.caption:.1e} over a caption"
        )


@torch.no_grad()
def compare(model: CaptionModel, captioner: Captioner, records: Sequence[Record]) -> Parity:
    """Caption the first `IMAGES` images with both models and the captioner's decoding options.

    `model` is in evaluation mode, in fp32 and on the CPU; `captioner` has the exported model. Images that cannot be
    read are left out.
    """
    options, vocabulary = captioner.bundle.spec.decoding, captioner.bundle.vocabulary
    result = Parity()
    for prepared, _ in readable_batches(captioner, records[:IMAGES]):
        state = captioner.encode(prepared)
        features, _ = model.detect(model.encoder(torch.from_numpy(np.stack([pixels for (pixels,) in prepared]))))
        tokens = np.full(len(prepared), vocabulary.start)
        expected, _ = model.step(tokens, DecoderState.begin(*model.decoder.begin(features)))
        actual, _ = captioner.step(tokens, state)
        result.first_step = max(result.first_step, float(np.abs(expected - actual).max()))
        result.images += len(prepared)
        trained, exported = model.captions(features, vocabulary, options), captioner.decode(state, options)
        for (expected_best, *_), (actual_best, *_) in zip(trained, exported, strict=True):
            if expected_best.tokens == actual_best.tokens:
                result.same += 1
                result.caption = max(result.caption, abs(expected_best.log_prob - actual_best.log_prob))
            elif not result.first_difference:
                texts = vocabulary.decode(expected_best.tokens), vocabulary.decode(actual_best.tokens)
                result.first_difference = "trained: {!r}, exported: {!r}".format(*texts)
    if not result.images:
        raise ParityError("no image of the val split can be read, so the export cannot be verified: check --data.")
    log.info("%s", result)
    return result
