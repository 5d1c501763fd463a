"""The measurements behind design choices: python benchmarks/findings.py --data DIR --weights FILE --run RUN.

DIR is Flickr8k, FILE the weights of the recipe's encoder, RUN a run that looksay train made.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from looksay import data, images
from looksay.captioner import Captioner
from looksay.export import onnx_graphs, quantize
from looksay.runtime.bundle import DECODER, VOCABULARY, Bundle, seal
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file, run_loader
from looksay.training.caption_dataset import caption_dataset
from looksay.training.datamodule import CaptionDataModule
from looksay.training.losses import cross_entropy
from looksay.training.recipe import Recipe
from looksay.types import ModelSpec

ROOT = Path(__file__).parent.parent
STEPS = 100


def norm_before_words(recipe: Recipe) -> dict[str, float]:
    """Return the loss after `STEPS` steps, with the decoder's layer normalisation and without; mean of the last ten."""
    records = data.read(Path(recipe.data.folder)).split("train")
    vocabulary = Vocabulary.build((t for r in records for t in r.references), recipe.vocabulary.min_count)
    losses = {}
    for name in ("with", "without"):
        torch.manual_seed(0)
        model = build.caption_model(recipe, vocabulary)
        dataset = caption_dataset(records, recipe, vocabulary, model, augmented=True)
        epoch = CaptionDataModule(dataset, dataset, recipe).train_batches(0)
        decoder = model.decoder.train()
        if name == "without":
            decoder.output_head[0] = nn.Identity()
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=recipe.training.learning_rate)
        seen = []
        for step in range(STEPS):
            batch = epoch[step]
            with torch.autocast("cpu", torch.bfloat16):
                outputs, _ = decoder(model.encode(batch.images), batch.tokens)
                loss = cross_entropy(decoder.output_head(batch.words_of(outputs)), batch.words_of(batch.targets), 0.1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(decoder.parameters(), recipe.training.gradient_clip)
            optimizer.step()
            seen.append(loss.item())
        losses[name] = round(statistics.mean(seen[-10:]), 2)
    return losses


def influence_of_neighbours(loaded: run_loader.Run) -> dict[str, float]:
    """Return the largest change of a word's log-probability when a photo is captioned alone and not among four."""
    spec = ModelSpec("x", "x", "x", build.model_image_spec(loaded.recipe), loaded.model.encoder.grid)
    photos = sorted(p for p in (ROOT / "examples").iterdir() if p.suffix in (".jpg", ".png"))
    pixels = np.stack([images.prepare(photo, spec.image) for photo in photos])
    changes = {}
    for name in ("fp32", "dynamic int8", "MatMulNBits int8"):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            onnx_graphs.write(loaded.model, spec.image.size, folder)
            loaded.vocabulary.save(folder / VOCABULARY)
            if name == "dynamic int8":
                decoder = onnx.load(folder / DECODER)
                del decoder.graph.value_info[:]
                quantize_dynamic(decoder, folder / DECODER, per_channel=True, weight_type=QuantType.QUInt8)
            elif name == "MatMulNBits int8":
                quantize.shrink(folder)
            seal(folder, spec)
            captioner = Captioner(Bundle.open(folder))
            start = np.zeros(len(photos), dtype=np.int64)
            together, _ = captioner.step(start, captioner.encode([(image,) for image in pixels]))
            alone = [captioner.step(start[:1], captioner.encode([(image,)]))[0][0] for image in pixels]
            changes[name] = round(float(np.abs(together - alone).max()), 5)
    return changes


def main() -> None:
    """Print one JSON object a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--data", "--weights", "--run"):
        parser.add_argument(name, type=Path, required=True)
    arguments = parser.parse_args()
    changes = [f"data.folder={arguments.data}", f"encoder.weights={arguments.weights}", "training.batch_size=16"]
    loaded = run_loader.load(arguments.run)
    print(json.dumps({"change by other dataset in the batch": influence_of_neighbours(loaded)}))
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
    print(json.dumps({f"loss after {STEPS} steps, norm before the words": norm_before_words(recipe)}))


if __name__ == "__main__":
    main()
