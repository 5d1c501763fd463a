"""Does the exported model say what the trained model says?"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Parity:
    """How an exported model compares with the trained one.

    Attributes
    ----------
    images, same : int
        CaptionDataset compared, and how many of them get the same caption, word for word.
    first_word : float
        Largest absolute difference between log-probabilities of the first word, over the whole vocabulary.
    caption : float
        Largest absolute difference between the log-probabilities of equal captions.
    differing : str
        The first difference, to read.
    """

    images: int
    same: int
    first_word: float
    caption: float
    differing: str = ""

    def __str__(self) -> str:
        return (
            f"{self.same} of {self.images} captions are the same; largest difference in log-probability "
            f"{self.first_word:.1e} at the first word, {self.caption:.1e} over a caption"
        )


@torch.no_grad()
def compare(model: CaptionModel, captioner: Captioner, paths: Sequence[Path]) -> Parity:
    """Caption the first `IMAGES` prepare_readable images with both models, through the same search.

    Parameters
    ----------
    model : CaptionModel
        In evaluation mode, in fp32 and on the CPU.
    captioner : Captioner
        Of the exported model.
    paths : sequence of Path

    Raises
    ------
    ParityError
        If there is nothing to compare.
    """
    spec, vocabulary = captioner.bundle.spec, captioner.bundle.vocabulary
    pixels: list[NDArray[np.float32]] = []
    for path in paths:
        if len(pixels) == IMAGES:
            break
        try:
            pixels.append(images.prepare(path, spec.image))
        except ImageError:
            continue
    if not pixels:
        raise ParityError("no image of the val split can be read, so the export cannot be checked; see --data")
    same, first_word, whole, differing = 0, 0.0, 0.0, ""
    for start in range(0, len(pixels), _BATCH):
        batch = np.stack(pixels[start : start + _BATCH])
        grid = model.encoder(torch.from_numpy(batch))
        begin = np.full(len(batch), vocabulary.start)
        ours, _ = model.step(begin, DecoderState.begin(*model.decoder.begin(grid)))
        state = captioner.encode([(image,) for image in batch])
        theirs, _ = captioner.step(begin, state)
        first_word = max(first_word, float(np.abs(ours - theirs).max()))
        for trained, exported in zip(
            model.captions(grid, vocabulary, spec.decoding), captioner.decode(state, spec.decoding), strict=True
        ):
            if trained[0].tokens == exported[0].tokens:
                same += 1
                whole = max(whole, abs(trained[0].log_prob - exported[0].log_prob))
            else:
                pair = vocabulary.decode(trained[0].tokens), vocabulary.decode(exported[0].tokens)
                differing = differing or "trained: {!r}, exported: {!r}".format(*pair)
    return Parity(len(pixels), same, first_word, whole, differing)
