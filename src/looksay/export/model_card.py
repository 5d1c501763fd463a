"""The model card, ``CARD.md``: architecture, training data, licence, scores, examples, limits and recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jinja2

import looksay
from looksay.evaluation import Evaluation
from looksay.export.confidence import RIGHT, Point
from looksay.tagging.concepts import ConceptTable
from looksay.training.recipe import Recipe
from looksay.training.run_loader import Phase
from looksay.training.sections import ModelOptions
from looksay.types import ModelSpec

_METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")
_TEMPLATES = jinja2.Environment(  # noqa: S701 (Markdown, not HTML)
    loader=jinja2.PackageLoader("looksay.export"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    spec: ModelSpec,
    phases: Sequence[Phase],
    parity: str,
    evaluations: Mapping[str, Evaluation],
    concepts: ConceptTable | None = None,
    curve: Sequence[Point] = (),
) -> str:
    """Return the model card in Markdown, from ``templates/card.md``.

    `spec` has the scores, `phases` are the runs that led to the model (the last one is its own), `parity` compares the
    exported model with the trained one, `evaluations` has the val captions of each data set, to take examples from,
    and `curve` tells what the confidence of captions is worth.
    """
    recipe = phases[-1].recipe
    return _TEMPLATES.get_template("card.md").render(
        version=looksay.__version__,
        spec=spec,
        recipe=recipe,
        encoder_training=_encoder_training(phases),
        metrics=_METRICS,
        scores=[spec.scores, *spec.scores.get("also", {}).values()],
        parity=parity,
        examples=list(_examples(evaluations, recipe.model.examples)),
        concepts=concepts,
        curve=curve,
        right=RIGHT,
        phases=phases,
        recipe_text=_recipe_text,
    )


def _examples(evaluations: Mapping[str, Evaluation], examples: int) -> Iterator[tuple[float, str, str, str]]:
    """Yield CIDEr-D, caption, first reference and image of captions evenly spaced from the best to the worst."""
    for source, evaluation in evaluations.items() if examples else ():
        scores = evaluation.by_image["CIDEr-D"]
        ranked = sorted(range(len(scores)), key=lambda row: -scores[row])
        count = min(len(ranked), max(1, examples // len(evaluations)))
        for number in range(count):
            row = ranked[round(number * (len(ranked) - 1) / max(1, count - 1))]
            record = evaluation.records[row]
            image = f"{source}, `{record.image.name}`".lstrip(", ")
            yield scores[row], evaluation.captions[row], record.references[0], image


def _encoder_training(phases: Sequence[Phase]) -> str:
    """Return whether the encoder was fine-tuned, by the last run or by one that it starts from."""
    recipes = {phase.folder: phase.recipe for phase in phases}

    def visit(run: Path) -> str:
        recipe = recipes.pop(run, None)
        if recipe is None:
            return f"frozen since {run.name}"
        if recipe.encoder.trainable and recipe.training.epochs:
            return "fine-tuned"
        earlier = [visit(Path(start).resolve()) for start in recipe.training.start]
        return "fine-tuned" if "fine-tuned" in earlier else max(earlier, default="frozen")

    return visit(phases[-1].folder)


def _recipe_text(recipe: Recipe) -> str:
    """Return the keys of a recipe that differ from their defaults, without [model], which the card states elsewhere."""
    return replace(recipe.portable(), model=ModelOptions()).to_toml(brief=True).strip()
