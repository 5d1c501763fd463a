"""``CARD.md``: what a model is, for the people who meet it without its makers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import looksay
from looksay.specs import ModelSpec
from looksay.train.recipe import Recipe

_SCALED = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


def write(spec: ModelSpec, recipe: Recipe, parity: str) -> str:
    """Return the card, in Markdown.

    Parameters
    ----------
    spec : ModelSpec
        With its scores.
    recipe : Recipe
    parity : str
        How the export compares with the trained model.
    """
    scores, image = spec.scores, spec.image
    rows, columns = spec.grid
    seen = f"a grid of {rows} × {columns} cells" if rows * columns > 1 else "one vector for the picture"
    heads = f", {recipe.decoder.heads} heads of attention" if spec.decoder == "top-down" else ""
    header = " | ".join(_SCALED)
    values = " | ".join(f"{100 * scores[name]:.1f}" for name in _SCALED)
    return f"""# {spec.name}

An image captioner made with looksay {looksay.__version__}: a CNN looks at a picture, an LSTM says it.

- **Encoder**: `{spec.encoder}` ({"fine-tuned" if recipe.encoder.trainable else "frozen"}), \
{image.size} × {image.size} pixels, {image.resize}, {seen}. \
Licence: {recipe.model.encoder_licence}.
- **Decoder**: `{spec.decoder}`, {recipe.decoder.size} units{heads}.
- **Trained on**: {spec.training_data}.
- **Licence**: {spec.licence}.

## Scores

Measured by running this very bundle over {scores["pictures"]} pictures of the {scores["split"]} split, \
beam {spec.search.beam}, as coco-caption scores (its tokeniser; {scores["references"]} references a picture; times 100).

| {header} |
|{"---|" * len(_SCALED)}
| {values} |

Export: {parity}.

## Limits

{recipe.model.limits}

## Recipe

```toml
{_without_folders(recipe).to_toml().strip()}
```
"""


def _without_folders(recipe: Recipe) -> Recipe:
    """Keep the names of files and folders, and not where they lay on the maker's machine."""
    return replace(
        recipe,
        data=replace(recipe.data, folder=Path(recipe.data.folder).name, cache=""),
        encoder=replace(recipe.encoder, weights=Path(recipe.encoder.weights).name),
        training=replace(recipe.training, run=Path(recipe.training.run).name),
    )
