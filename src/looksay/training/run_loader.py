"""A trained run: its model with the best weights, and the runs that it was made from."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

import looksay
from looksay import images
from looksay.errors import RunError
from looksay.images import ImageSource
from looksay.models.caption_model import CaptionModel
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.checkpoint import BEST, RECIPE, VOCABULARY, best_weights
from looksay.training.recipe import Recipe

_MADE_WITH = "# made with "


@dataclass(frozen=True)
class Run:
    """A trained run."""

    folder: Path
    recipe: Recipe
    vocabulary: Vocabulary
    model: CaptionModel  # a torch module with the best weights, in evaluation mode

    @torch.no_grad()
    def caption(self, image: ImageSource) -> str:
        """Return the caption of an image; `looksay export` makes a faster captioner."""
        pixels = torch.from_numpy(images.prepare(image, self.model.encoder.image))
        pixels = pixels[None].to(next(self.model.parameters()).device)
        ((best, *_),) = self.model.captions(
            self.model.detect(self.model.encoder(pixels))[0], self.vocabulary, self.recipe.decoding
        )
        return self.vocabulary.decode(best.tokens)


def load(folder: str | Path) -> Run:
    """Load a run with its best weights, in evaluation mode.

    Raises
    ------
    RunError
        If the folder holds no run, or if no epoch has been completed.
    """
    folder = Path(folder)
    if not (folder / RECIPE).is_file():
        phases = ", ".join(sorted(str(recipe.parent) for recipe in folder.glob(f"*/{RECIPE}")))
        next_step = f"use one of its phases, {phases}" if phases else "make one with looksay train"
        raise RunError(f"{folder} is not a run, it has no {RECIPE}: {next_step}")
    if not (folder / BEST).is_file():
        raise RunError(f"{folder} has not completed an epoch: resume it with looksay train --resume")
    recipe = recipe_file.load(folder / RECIPE)
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    model = build.caption_model(recipe, vocabulary, pretrained=False)
    try:
        model.load_state_dict(best_weights(folder))
    except RuntimeError as error:
        raise RunError(f"{folder / BEST} is of another model or version of looksay: train it again") from error
    return Run(folder, recipe, vocabulary, model.eval())


def write_recipe(recipe: Recipe, file: Path) -> None:
    """Save the recipe of a run, below a comment with the version and commit of looksay."""
    file.write_text(f"{_MADE_WITH}{_version()}\n\n{recipe.to_toml()}", encoding="utf-8")


def _version() -> str:
    """Return looksay's version and, in a clone, its commit."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    version = f"looksay {looksay.__version__}"
    try:
        git("ls-files", "--error-unmatch", __file__)  # not if looksay is installed inside another project's clone
        return f"{version}, commit {git('describe', '--always', '--dirty', '--exclude=*')}"
    except (OSError, subprocess.CalledProcessError):
        return version


def _made_with(run: Path) -> str:
    """Return the version that made a run, or an empty text if its recipe does not name it."""
    first = (run / RECIPE).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix(_MADE_WITH) if first.startswith(_MADE_WITH) else ""


@dataclass(frozen=True)
class Phase:
    """A run in the history of another."""

    folder: Path  # absolute
    made_with: str  # version of looksay and, in a clone, its commit; empty if unknown
    recipe: Recipe


def history(folder: Path) -> list[Phase]:
    """Return a run after all runs that it starts from or was distilled from; missing ones are skipped."""
    phases: list[Phase] = []
    seen: set[Path] = set()

    def visit(run: Path) -> None:
        if run in seen or not (run / RECIPE).is_file():
            return
        seen.add(run)
        recipe = recipe_file.load(run / RECIPE)
        for earlier in (*recipe.distillation.teachers, *recipe.training.start):
            visit(Path(earlier).resolve())
        phases.append(Phase(run, _made_with(run), recipe))

    visit(folder.resolve())
    return phases


def shared(folder: Path) -> dict[str, bytes]:
    """Return the files from which others can continue training, by name; the recipe names no local paths."""
    recipe = load(folder).recipe.portable()
    made_with = _made_with(folder)
    header = f"{_MADE_WITH}{made_with}\n\n" if made_with else ""
    files = {name: (folder / name).read_bytes() for name in (BEST, VOCABULARY)}
    return files | {RECIPE: (header + recipe.to_toml()).encode()}
