"""``CARD.md``: what a model is, for the people who meet it without its makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import looksay
from looksay.evaluation import Evaluation
from looksay.tagging.concepts import ConceptTable
from looksay.training.run_loader import Phase
from looksay.training.sections import ModelOptions
from looksay.types import ModelSpec

_SCALED = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


def write(
    spec: ModelSpec,
    phases: Sequence[Phase],
    parity: str,
    found: Mapping[str, Evaluation] | None = None,
    tags: ConceptTable | None = None,
) -> str:
    """Return the card, in Markdown.

    Parameters
    ----------
    spec : ModelSpec
        With its scores.
    phases : sequence of Phase
        How the model came to be; the last is its own run.
    parity : str
        How the export compares with the trained model.
    found : mapping of str to Evaluation, optional
        The captions of the val split, by the set of a mixture: examples are taken from them.
    tags : ConceptTable, optional
        What the encoder recognises.
    """
    scores, image, recipe = spec.scores, spec.image, phases[-1].recipe
    rows, columns = spec.grid
    seen = f"a grid of {rows} × {columns} cells" if rows * columns > 1 else "one vector for the image"
    heads = f", {recipe.decoder.heads} heads of attention" if spec.decoder == "top-down" else ""
    return f"""# {spec.name}

An image captioner made with looksay {looksay.__version__}: a CNN looks at an image, an LSTM says it.

- **Encoder**: `{spec.encoder}` ({_learning(phases)}), \
{image.size} × {image.size} pixels, {image.resize}, {seen}. \
Licence: {recipe.model.encoder_licence}.
- **Decoder**: `{spec.decoder}`, {recipe.decoder.size} units{heads}.
- **Trained on**: {spec.training_data}.
- **Licence**: {spec.licence}.

## Scores

Measured by running this very bundle over {scores["images"]} images of the {scores["split"]} split\
{" of " + scores["set"] + ", and over others" if "set" in scores else ""}, \
beam {spec.decoding.num_beams}, as coco-caption scores (its tokeniser; {scores["references"]} references an image; times 100).

{_table(scores)}

Export: {parity}.

{_examples(found or {}, recipe.model.examples)}{_names(tags)}## Limits

{recipe.model.limits}

## Recipe

{_recipes(phases)}
"""


def _table(scores: dict[str, Any]) -> str:
    """Return the scores as a table; of a mixture with a row for each set."""
    rows = [list(_SCALED), ["---"] * len(_SCALED)]
    also = scores.get("also", {})
    rows += [[f"{100 * of_one[name]:.1f}" for name in _SCALED] for of_one in (scores, *also.values())]
    if also:
        names = [
            "set",
            "---",
            f"{scores['set']}, {scores['images']} images",
            *(f"{name}, {also[name]['images']} images" for name in also),
        ]
        rows = [[name, *row] for name, row in zip(names, rows, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _examples(found: Mapping[str, Evaluation], wanted: int) -> str:
    """Return some captions, evenly from the best to the worst by CIDEr-D; with one that a person wrote of each."""
    if not (found and wanted):
        return ""
    lines = []
    for source, one in found.items():
        scores = one.by_image["CIDEr-D"]
        ranked = sorted(range(len(scores)), key=lambda place: -scores[place])
        count = min(len(ranked), max(1, wanted // len(found)))
        for at in range(count):
            place = ranked[round(at * (len(ranked) - 1) / max(1, count - 1))]
            record = one.records[place]
            image = f"{source}, `{record.image.name}`".lstrip(", ")
            said, person = (text.replace("|", "\\|") for text in (one.captions[place], record.references[0]))
            lines.append(f"| {100 * scores[place]:.0f} | {said} | {person} | {image} |")
    return f"""## Examples

Captions of the {next(iter(found.values())).facts["split"]} split, picked by no one: evenly from the best to the worst \
by CIDEr-D.

| CIDEr-D | it says | a person says | image |
|---|---|---|---|
{chr(10).join(lines)}

"""


def _names(tags: ConceptTable | None) -> str:
    """Return what the encoder recognises."""
    if tags is None:
        return ""
    return f"""## What it recognises

Its CNN tells these apart, and a caption that lacks one is asked for it where people would mention it with a \
probability of {tags.threshold} or more: {", ".join(noun.name for noun in tags.concepts if noun.classes)}.

{len(tags.rare_words)} words of these stood in no training caption, or hardly; where they go in a sentence is guessed from \
words like them.

"""


def _learning(phases: Sequence[Phase]) -> str:
    """Say whether the encoder learned in the last run, or in one that it goes back to."""
    recipes = {phase.folder: phase.recipe for phase in phases}

    def learning(run: Path) -> str:
        recipe = recipes.pop(run, None)
        if recipe is None:
            return f"frozen since {run.name}"
        if recipe.encoder.trainable and recipe.training.epochs:
            return "fine-tuned"
        earlier = [learning(Path(start).resolve()) for start in recipe.training.start]
        return "fine-tuned" if "fine-tuned" in earlier else max(earlier, default="frozen")

    return learning(phases[-1].folder)


def _recipes(phases: Sequence[Phase]) -> str:
    """Return the recipe of each run, with the keys that are not as by default."""
    told = []
    for phase in phases:
        made = f" ({phase.made_with})" if phase.made_with else ""
        recipe = replace(phase.recipe.portable(), model=ModelOptions())  # which stand above
        told.append(f"`{phase.folder.name}`{made}:\n\n```toml\n{recipe.to_toml(brief=True).strip()}\n```")
    keys = "Keys that are not named are as by default."
    if len(phases) == 1:
        return f"{keys}\n\n{told[0]}"
    return f"{len(phases)} runs, one after another; the last one made this model. {keys}\n\n" + "\n\n".join(told)
