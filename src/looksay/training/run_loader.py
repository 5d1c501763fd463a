"""What a run left: the captioner with its best weights, and how it came to be."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

import looksay
from looksay import images
from looksay.errors import RunError
from looksay.images import ImageSource
from looksay.models.caption_model import CaptionModel
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.checkpoint import BEST
from looksay.training.recipe import Recipe

RECIPE = "recipe.toml"
VOCABULARY = "vocabulary.json"
_MADE_WITH = "# made with "


@dataclass(frozen=True)
class Run:
    """What training left: the recipe, the words, and the model with its best weights."""

    folder: Path
    recipe: Recipe
    vocabulary: Vocabulary
    model: CaptionModel

    @torch.no_grad()
    def caption(self, image: ImageSource) -> str:
        """Say what an image shows; for more than a try, `looksay export` it.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        pixels = torch.from_numpy(images.prepare(image, build.model_image_spec(self.recipe)))
        ((best, *_),) = self.model.captions(self.model.encoder(pixels[None]), self.vocabulary, self.recipe.decoding)
        return self.vocabulary.decode(best.tokens)


def write_recipe(recipe: Recipe, file: Path) -> None:
    """Write down the recipe of a run, below the version and the commit of looksay that runs it."""
    file.write_text(f"{_MADE_WITH}{_version()}\n\n{recipe.to_toml()}", encoding="utf-8")


def _version() -> str:
    """Return looksay's version and, in a clone, its commit."""
    known = f"looksay {looksay.__version__}"
    try:
        _git("ls-files", "--error-unmatch", __file__)  # an install within another project's clone is not that project
        return f"{known}, commit {_git('describe', '--always', '--dirty', '--exclude=*')}"
    except (OSError, subprocess.CalledProcessError):
        return known


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


@dataclass(frozen=True)
class Phase:
    """A run on the way to another.

    Attributes
    ----------
    folder : Path
        Absolute.
    made_with : str
        The version of looksay and, if it was a clone, its commit; empty for a run of an older looksay.
    recipe : Recipe
    """

    folder: Path
    made_with: str
    recipe: Recipe


def history(folder: Path) -> list[Phase]:
    """Return a run after those that it starts from or that taught it, and theirs, as far as they are still there."""
    found: list[Phase] = []
    seen: set[Path] = set()

    def visit(run: Path) -> None:
        if run in seen or not (run / RECIPE).is_file():
            return
        seen.add(run)
        recipe = recipe_file.load(run / RECIPE)
        for earlier in (*recipe.distillation.teachers, *recipe.training.start):
            visit(Path(earlier).resolve())
        first = (run / RECIPE).read_text(encoding="utf-8").partition("\n")[0]
        found.append(Phase(run, first.removeprefix(_MADE_WITH) if first.startswith(_MADE_WITH) else "", recipe))

    visit(folder.resolve())
    return found


def load(folder: Path) -> Run:
    """Load a run with its best weights, in evaluation mode.

    Raises
    ------
    RunError
        If the folder holds no run, or if no epoch has been completed.
    """
    if not (folder / RECIPE).is_file():
        phases = ", ".join(sorted(str(recipe.parent) for recipe in folder.glob(f"*/{RECIPE}")))
        what_next = f"its phases are {phases}" if phases else "make one with looksay train"
        raise RunError(f"{folder} is not a run: it has no {RECIPE}; {what_next}")
    if not (folder / BEST).is_file():
        raise RunError(f"{folder} has not completed an epoch; go on with looksay train --resume")
    recipe = recipe_file.load(folder / RECIPE)
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    model = build.caption_model(recipe, vocabulary, pretrained=False)
    weights = best_weights([folder])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{folder / BEST} is of another model, or of another looksay: train it anew") from error
    return Run(folder, recipe, vocabulary, model.eval())


def shared(folder: Path) -> dict[str, bytes]:
    """Return what others need of a run to train on from it, by its names of files: its recipe says no folders.

    Raises
    ------
    RunError
        As `load`.
    """
    recipe = load(folder).recipe.portable()
    first = (folder / RECIPE).read_text(encoding="utf-8").partition("\n")[0]
    made = f"{first}\n\n" if first.startswith(_MADE_WITH) else ""
    files = {name: (folder / name).read_bytes() for name in (BEST, VOCABULARY)}
    return files | {RECIPE: (made + recipe.to_toml()).encode()}


def best_weights(runs: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of the best weights of runs."""
    return mean_weights([_read(run / BEST) for run in runs])


def mean_weights(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of the weights of models of one kind."""
    first, *others = weights
    if not others:
        return first
    return {name: sum((one[name].double() for one in others), first[name].double()) / len(weights) for name in first}


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{file} is damaged, or no safetensors file ({error}); copy the run again") from error
