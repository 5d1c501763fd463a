"""How much faster cached features of a frozen encoder make an epoch: python benchmarks/feature_cache.py DATA [RECIPE…].

For each recipe, training steps on real images are timed in turns, with features from the cache and with the frozen
encoder run on every image. Weights are random (speed does not depend on them). Prints the median seconds of a step,
the minutes of an epoch, and the ratio to an epoch that encodes each image once, and to one that encodes it for each of
its captions (where a sample is an image with one caption).
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from timing import ROOT, parser, print_row, seconds_in_turns

from looksay import data
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.caption_dataset import Batch, caption_dataset
from looksay.training.datamodule import CaptionDataModule
from looksay.training.feature_cache import precision
from looksay.training.losses import cross_entropy

RECIPES = ("vgg16-merge", "inceptionv3-glove", "xception-merge", "resnet50-custom", "adaptive", "flickr8k")
STEPS = 5


def measure(folder: Path, name: str) -> dict[str, object]:
    """Time a recipe's training steps with and without the cache."""
    changes = [f"data.folder={folder}", "encoder.weights=random", "embedding.vectors=", "encoder.frozen_epochs=1"]
    recipe = recipe_file.load(ROOT / "recipes" / f"{name}.toml", [*changes, "encoder.trainable=true"])
    training = recipe.training
    records = data.read(folder).split("train")
    vocabulary = Vocabulary.build((t for r in records for t in r.references), recipe.vocabulary.min_count)
    model = build.caption_model(recipe, vocabulary).train()
    model.encoder.unfreeze(0)
    dataset = caption_dataset(records[: (STEPS + 1) * training.batch_size], recipe, vocabulary, model, augmented=True)
    batches = CaptionDataModule(dataset, dataset, recipe)
    optimizer = torch.optim.AdamW(model.decoder.parameters(), lr=training.learning_rate)
    bf16 = precision(training.precision) == "bf16-mixed"

    def step(batches: Iterator[Batch]) -> None:
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs, _ = model.decoder(model.encode(batch.images), batch.tokens, active=batch.active)
            logits = model.decoder.output_head(batch.words_of(outputs))
            loss = cross_entropy(logits, batch.words_of(batch.targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # The recipe freezes the encoder in epoch 0 alone, so that batches of epoch 1 have pixels; the encoder stays frozen.
    epochs = {name: batches.train_batches(epoch) for epoch, name in enumerate(("cached", "encoded"))}
    works = {name: partial(step, (epoch[n] for n in range(STEPS + 1))) for name, epoch in epochs.items()}
    cached, encoded = (statistics.median(seconds) for seconds in seconds_in_turns(works, STEPS).values())
    captions, steps = training.captions_per_image, len(records) / training.batch_size
    return {
        "recipe": name,
        "encoder": f"{recipe.encoder.name} {recipe.encoder.features}",
        "seconds per step, encoded and cached": [round(encoded, 2), round(cached, 3)],
        "minutes per epoch, encoded and cached": [round(encoded * steps / 60, 1), round(cached * steps / 60, 2)],
        "ratio, encoded for each image": encoded / cached,
        "ratio, encoded for each caption": (cached + captions * (encoded - cached)) / cached,
    }


def main() -> None:
    """Print a row for each recipe."""
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("recipes", nargs="*", default=RECIPES)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LOOKSAY_CACHE"] = cache
        for name in options.recipes:
            print_row(**measure(options.data, name))


if __name__ == "__main__":
    main()
