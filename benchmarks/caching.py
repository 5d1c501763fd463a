"""How much faster a frozen encoder's looked-up features make an epoch: python benchmarks/caching.py DATA [RECIPE…].

For each recipe, steps of training on real images, batches of the same size both ways in turn: with features from the
cache, and with the frozen encoder looking at every image. Weights are random (speed does not depend on them). Prints
the median seconds of a step both ways, what that makes of an epoch, and two ratios: to an epoch in which the encoder
looks once at each image, and to one in which it looks for every caption (where image and caption are a sample).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from looksay import data
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.caption_dataset import caption_dataset
from looksay.training.datamodule import CaptionDataModule
from looksay.training.losses import cross_entropy

ROOT = Path(__file__).parent.parent
RECIPES = ("vgg16-merge", "inceptionv3-glove", "xception-merge", "resnet50-custom", "adaptive", "flickr8k")
STEPS = 5


def measure(folder: Path, name: str) -> dict[str, object]:
    """Time both ways with a recipe's own encoder and decoder."""
    changes = [f"data.folder={folder}", "encoder.weights=random", "embedding.vectors=", "encoder.frozen_epochs=1"]
    recipe = recipe_file.load(ROOT / "recipes" / f"{name}.toml", [*changes, "encoder.trainable=true"])
    everything = data.read(folder).split("train")
    records = everything[: (STEPS + 1) * recipe.training.batch_size]
    vocabulary = Vocabulary.build((t for r in everything for t in r.references), recipe.vocabulary.min_count)
    model = build.caption_model(recipe, vocabulary).train()
    model.encoder.unfreeze(0)
    images = caption_dataset(records, recipe, vocabulary, model, augmented=True)
    optimizer = torch.optim.AdamW(model.decoder.parameters(), lr=recipe.training.learning_rate)
    bf16 = build.precision(recipe.training.precision) == "bf16-mixed"
    seconds: dict[str, list[float]] = {"cached": [], "looking": []}
    data_module = CaptionDataModule(images, images, recipe)
    epochs = {"cached": data_module.train_batches(0), "looking": data_module.train_batches(1)}
    for step in range(STEPS + 1):
        for way, epoch in epochs.items():
            start = time.perf_counter()
            batch = epoch[step]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                outputs, _ = model.decoder(model.encode(batch.images), batch.tokens, active=batch.active)
                loss = cross_entropy(model.decoder.output_head(batch.words_of(outputs)), batch.words_of(batch.targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step:  # the first one warms up
                seconds[way].append(time.perf_counter() - start)
    cached, looking = (statistics.median(seconds[way]) for way in ("cached", "looking"))
    captions = recipe.training.captions_per_image
    steps = len(everything) / recipe.training.batch_size
    return {
        "recipe": name,
        "encoder": f"{recipe.encoder.name} {recipe.encoder.features}",
        "seconds a step": [round(looking, 2), round(cached, 3)],
        "minutes an epoch": [round(looking * steps / 60, 1), round(cached * steps / 60, 2)],
        "ratio, a look for each image": round(looking / cached, 1),
        "ratio, a look for each caption": round((cached + captions * (looking - cached)) / cached, 1),
    }


def main() -> None:
    """Print one JSON object a recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LOOKSAY_CACHE"] = cache
        for name in arguments.recipes:
            print(json.dumps(measure(arguments.data, name)), flush=True)


if __name__ == "__main__":
    main()
