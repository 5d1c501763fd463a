"""The measurements behind two design choices: layer normalisation before the output layer, and fixed ranges for int8.

python benchmarks/design_choices.py --data FLICKR8K --weights ENCODER.safetensors --run RUN
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from timing import EXAMPLES, ROOT, parser, print_row
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

STEPS = 100


def losses_by_normalisation(recipe: Recipe) -> dict[str, float]:
    """Return the mean loss of the last ten of `STEPS` steps, with the decoder's layer normalisation and without."""
    records = data.read(Path(recipe.data.folder)).split("train")
    vocabulary = Vocabulary.build((t for r in records for t in r.references), recipe.vocabulary.min_count)
    means = {}
    for name in ("with", "without"):
        torch.manual_seed(0)
        model = build.caption_model(recipe, vocabulary)
        dataset = caption_dataset(records, recipe, vocabulary, model, augmented=True)
        batches = CaptionDataModule(dataset, dataset, recipe).train_batches(0)
        decoder = model.decoder.train()
        if name == "without":
            decoder.output_head[0] = nn.Identity()
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=recipe.training.learning_rate)
        losses = []
        for step in range(STEPS):
            batch = batches[step]
            with torch.autocast("cpu", torch.bfloat16):
                outputs, _ = decoder(model.encode(batch.images), batch.tokens)
                logits = decoder.output_head(batch.words_of(outputs))
                loss = cross_entropy(logits, batch.words_of(batch.targets), 0.1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(decoder.parameters(), recipe.training.gradient_clip)
            optimizer.step()
            losses.append(loss.item())
        means[name] = round(statistics.mean(losses[-10:]), 2)
    return means


def changes_by_batch(run: run_loader.Run) -> dict[str, float]:
    """Return the largest change of a first token's log-probability from a photo alone to the same photo among four."""
    spec = ModelSpec("x", "x", "x", run.model.encoder.image, run.model.encoder.grid)
    photos = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".jpg", ".png"))
    pixels = np.stack([images.prepare(photo, spec.image) for photo in photos])
    changes = {}
    for name in ("fp32", "dynamic int8", "static int8"):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            onnx_graphs.write(run.model, spec.image.size, folder)
            run.vocabulary.save(folder / VOCABULARY)
            if name == "dynamic int8":
                decoder = onnx.load(folder / DECODER)
                del decoder.graph.value_info[:]
                quantize_dynamic(decoder, folder / DECODER, per_channel=True, weight_type=QuantType.QUInt8)
            elif name == "static int8":
                quantize.quantize(folder, pixels)
            seal(folder, spec)
            captioner = Captioner(Bundle.open(folder))
            start = np.zeros(len(photos), dtype=np.int64)
            together, _ = captioner.step(start, captioner.encode([(image,) for image in pixels]))
            alone = [captioner.step(start[:1], captioner.encode([(image,)]))[0][0] for image in pixels]
            changes[name] = round(float(np.abs(together - alone).max()), 5)
    return changes


def main() -> None:
    """Print a row for each choice."""
    arguments = parser(__doc__)
    for name in ("--data", "--weights", "--run"):
        arguments.add_argument(name, type=Path, required=True)
    options = arguments.parse_args()
    changes = [f"data.folder={options.data}", f"encoder.weights={options.weights}", "training.batch_size=16"]
    print_row(what="change by the other images of a batch", **changes_by_batch(run_loader.load(options.run)))
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
    print_row(what=f"loss after {STEPS} steps, layer normalisation", **losses_by_normalisation(recipe))


if __name__ == "__main__":
    main()
