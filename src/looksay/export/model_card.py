"""The model card, ``CARD.md``: architecture, training data, licence, scores, examples, limits and recipe."""

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

_METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


def render(
    spec: ModelSpec,
    phases: Sequence[Phase],
    parity: str,
    evaluations: Mapping[str, Evaluation],
    concepts: ConceptTable | None = None,
) -> str:
    """Return the model card in Markdown.

    `spec` has the scores, `phases` are the runs that led to the model (the last one is its own), `parity` compares the
    exported model with the trained one, `evaluations` has the val captions of each data set, to take examples from.
    """
    scores, image, recipe = spec.scores, spec.image, phases[-1].recipe
    rows, columns = spec.grid
    features = f"a feature map of {rows} × {columns} cells" if rows * columns > 1 else "pooled features"
    heads = f", {recipe.decoder.heads} attention heads" if spec.decoder == "top-down" else ""
    return f"""# {spec.name}

An image captioner made with looksay {looksay.__version__}: a CNN encoder and an LSTM decoder.

- **Encoder**: `{spec.encoder}` ({_encoder_training(phases)}), \
{image.size} × {image.size} pixels, {image.resize}, {features}. \
Licence: {recipe.model.encoder_licence}.
- **Decoder**: `{spec.decoder}`, {recipe.decoder.size} units{heads}.
- **Trained on**: {spec.training_data}.
- **Licence**: {spec.licence}.

## Scores

Measured with this bundle on {scores["images"]} images of the {scores["split"]} split\
{" of " + scores["set"] + ", and on other data sets" if "set" in scores else ""}, \
beam {spec.decoding.num_beams}, as coco-caption scores \
(its tokeniser; {scores["references"]} references per image; times 100).

{_score_table(scores)}

Export: {parity}.

{_examples(evaluations, recipe.model.examples)}{_concepts(concepts)}## Limits

{recipe.model.limits}

## Recipe

{_recipes(phases)}
"""


def _score_table(scores: dict[str, Any]) -> str:
    """Return the scores as a table, for a mixture with a row for each data set."""
    others = scores.get("also", {})
    rows = [list(_METRICS), ["---"] * len(_METRICS)]
    rows += [[f"{100 * row[name]:.1f}" for name in _METRICS] for row in (scores, *others.values())]
    if others:
        counts = {scores["set"]: scores["images"]} | {name: other["images"] for name, other in others.items()}
        labels = ["set", "---", *(f"{name}, {count} images" for name, count in counts.items())]
        rows = [[label, *row] for label, row in zip(labels, rows, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _examples(evaluations: Mapping[str, Evaluation], examples: int) -> str:
    """Return captions evenly spaced from the best to the worst CIDEr-D, each beside the image's first reference."""
    lines = []
    for source, evaluation in evaluations.items() if examples else ():
        scores = evaluation.by_image["CIDEr-D"]
        ranked = sorted(range(len(scores)), key=lambda row: -scores[row])
        count = min(len(ranked), max(1, examples // len(evaluations)))
        for number in range(count):
            row = ranked[round(number * (len(ranked) - 1) / max(1, count - 1))]
            record = evaluation.records[row]
            image = f"{source}, `{record.image.name}`".lstrip(", ")
            caption, reference = (t.replace("|", "\\|") for t in (evaluation.captions[row], record.references[0]))
            lines.append(f"| {100 * scores[row]:.0f} | {caption} | {reference} | {image} |")
    if not lines:
        return ""
    return f"""## Examples

Captions of the {evaluation.facts["split"]} split, evenly spaced from the best to the worst by \
CIDEr-D; none was selected by hand.

| CIDEr-D | caption | reference | image |
|---|---|---|---|
{chr(10).join(lines)}

"""


def _concepts(table: ConceptTable | None) -> str:
    if table is None:
        return ""
    return f"""## Concepts

The encoder detects the concepts below. If people would mention one with a probability of {table.threshold} or more \
and the caption lacks it, the image is decoded again so that the caption mentions it: \
{", ".join(concept.name for concept in table.concepts if concept.classes)}.

{len(table.rare_words)} words for these concepts are rare in the training captions or absent from them; the decoder \
uses them as it uses similar words.

"""


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


def _recipes(phases: Sequence[Phase]) -> str:
    """Return the recipe of each run with the keys that differ from their defaults."""
    sections = []
    for phase in phases:
        version = f" ({phase.made_with})" if phase.made_with else ""
        recipe = replace(phase.recipe.portable(), model=ModelOptions())  # the card states [model] above
        sections.append(f"`{phase.folder.name}`{version}:\n\n```toml\n{recipe.to_toml(brief=True).strip()}\n```")
    order = "" if len(phases) == 1 else f"{len(phases)} runs, in order; the last one produced this model. "
    return f"{order}Keys that are not listed have their defaults.\n\n" + "\n\n".join(sections)
