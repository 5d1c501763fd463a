"""What a run left: the captioner with its best weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from looksay import images
from looksay.errors import RunError
from looksay.images import ImageSource
from looksay.nets.model import CaptionModel
from looksay.train import build, config
from looksay.train.journal import BEST
from looksay.train.recipe import Recipe
from looksay.vocabulary import Vocabulary

RECIPE = "recipe.toml"
VOCABULARY = "vocabulary.json"


@dataclass(frozen=True)
class Run:
    """What training left: the recipe, the words, and the model with its best weights."""

    folder: Path
    recipe: Recipe
    vocabulary: Vocabulary
    model: CaptionModel

    @torch.no_grad()
    def caption(self, image: ImageSource) -> str:
        """Say what a picture shows; for more than a try, `looksay export` it.

        Raises
        ------
        ImageError
            If the picture cannot be read.
        """
        pixels = torch.from_numpy(images.prepare(image, build.picture_spec(self.recipe)))
        ((best, *_),) = self.model.captions(self.model.encoder(pixels[None]), self.vocabulary, self.recipe.search)
        return self.vocabulary.decode(best.tokens)


def load(folder: Path) -> Run:
    """Load a run with its best weights, in evaluation mode.

    Raises
    ------
    RunError
        If the folder holds no run, or if no epoch has been completed.
    """
    if not (folder / RECIPE).is_file():
        raise RunError(f"{folder} is not a run: it has no {RECIPE}; make one with looksay train")
    if not (folder / BEST).is_file():
        raise RunError(f"{folder} has not completed an epoch; go on with looksay train --resume")
    recipe = config.load(folder / RECIPE)
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    model = build.caption_model(recipe, vocabulary, pretrained=False)
    model.load_state_dict(load_file(folder / BEST))
    return Run(folder, recipe, vocabulary, model.eval())
