"""How fast training is, side by side: ``python benchmarks/training.py DATA``.

- An epoch with features from the cache, against a textbook captioner of the same sizes: images and captions are
  single samples, the frozen CNN looks anew for each, an LSTM cell walks to the longest caption of the batch, additive
  attention projects all cells at each word, fp32.
- A self-critical step, against a cross-entropy step of the same batch.
- A step that trains the CNN too: how near its convolutions come to this machine's own bf16 rate.

Weights are random (speed does not depend on them); images and captions are real.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from looksay import data
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.batch import Batch
from looksay.training.caption_dataset import CaptionDataset, caption_dataset
from looksay.training.datamodule import CaptionDataModule
from looksay.training.module import CaptionModule
from looksay.training.recipe import Recipe

ROOT = Path(__file__).parent.parent
STEPS = 9


class Textbook(nn.Module):
    """Attention as tutorials write it."""

    def __init__(self, encoder: nn.Module, channels: int, vocabulary: int, size: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.embedding = nn.Embedding(vocabulary, size)
        self.of_cells, self.of_state, self.energy = nn.Linear(channels, size), nn.Linear(size, size), nn.Linear(size, 1)
        self.first_hidden, self.first_cell = nn.Linear(channels, size), nn.Linear(channels, size)
        self.lstm = nn.LSTMCell(size + channels, size)
        self.words = nn.Sequential(nn.Dropout(dropout), nn.Linear(size, vocabulary))

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Return the scores of words (captions, steps, vocabulary) for pixels (captions, 3, size, size)."""
        with torch.no_grad():
            cells = self.encoder(images)
        mean = cells.mean(dim=1)
        hidden, cell = self.first_hidden(mean), self.first_cell(mean)
        said = []
        for step in range(tokens.shape[1]):
            energies = self.energy(torch.relu(self.of_cells(cells) + self.of_state(hidden)[:, None]))
            seen = (energies.softmax(dim=1) * cells).sum(dim=1)
            hidden, cell = self.lstm(torch.cat([self.embedding(tokens[:, step]), seen], dim=1), (hidden, cell))
            said.append(self.words(hidden))
        return torch.stack(said, dim=1)


def seconds(step: Callable[[int], Tensor], parameters: list[nn.Parameter]) -> float:
    """Return the median seconds of a step: loss, gradients and AdamW."""
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    times = []
    for number in range(STEPS + 1):
        start = time.perf_counter()
        loss = step(number)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


class Bench:
    """A recipe's model, its images, and its module outside of a trainer."""

    def __init__(self, folder: Path, *changes: str) -> None:
        changes = (f"data.folder={folder}", "encoder.weights=random", *changes)
        self.recipe: Recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
        split = data.read(folder).split("train")
        self.vocabulary = Vocabulary.build((t for r in split for t in r.references), self.recipe.vocabulary.min_count)
        self.model = build.caption_model(self.recipe, self.vocabulary)
        self.model.encoder.unfreeze(self.recipe.encoder.unfrozen_stages(0))
        self.images: CaptionDataset = caption_dataset(
            split[:512], self.recipe, self.vocabulary, self.model, augmented=True
        )
        self.module = CaptionModule(self.model.train(), self.recipe, self.vocabulary)
        self.module._log = lambda *_, **__: None  # type: ignore[method-assign]
        self.epoch = CaptionDataModule(self.images, self.images, self.recipe).train_batches(0)

    def learning(self) -> list[nn.Parameter]:
        """Return what a step changes."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def loss(self, number: int) -> Tensor:
        """Return the loss of a batch, as training does."""
        bf16 = build.precision(self.recipe.training.precision) == "bf16-mixed"
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return self.module.training_step(self.epoch[number], number)

    def step(self) -> float:
        """Return the median seconds of a step."""
        return seconds(self.loss, self.learning())


def textbook(bench: Bench, batch: int = 32) -> float:
    """Return the captions that the textbook trains on in a second."""
    sizes = bench.recipe.decoder
    encoder, vocabulary = bench.model.encoder.eval(), len(bench.vocabulary)
    model = Textbook(encoder, encoder.channels, vocabulary, sizes.size, sizes.dropout)

    def loss(number: int) -> Tensor:
        places = range(number * batch, (number + 1) * batch)
        made: Batch = bench.images.batch(places, 1, trainable=True)
        scores = model(encoder.normalise(made.images), made.tokens)
        return functional.cross_entropy(scores.flatten(0, 1), made.targets.flatten(), ignore_index=PADDING)

    return batch / seconds(loss, [p for p in model.parameters() if p.requires_grad])


def convolution_rate() -> float:
    """Return the bf16 FLOP a second of a large dense convolution, forwards and backwards."""
    conv = nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    pixels = torch.randn(32, 256, 30, 30).contiguous(memory_format=torch.channels_last).requires_grad_()
    times = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            out = conv(pixels)
        out.backward(torch.ones_like(out))
        times.append(time.perf_counter() - start)
    return 3 * 2 * 32 * 30 * 30 * 256 * 256 * 9 / statistics.median(times[1:])


def tell(what: str, **figures: float) -> None:
    """Print one JSON object a line."""
    print(json.dumps({"what": what} | {name: round(value, 3) for name, value in figures.items()}), flush=True)


def main() -> None:
    """Measure one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LOOKSAY_CACHE"] = cache
        cached = Bench(folder)
        options = cached.recipe.training
        step, slow = cached.step(), textbook(cached)
        fast = options.batch * options.captions / step
        tell("cached features, captions a second", looksay=fast, textbook=slow, ratio=fast / slow)

        drawing = Bench(folder, "self_critical.samples=5")
        drawn = drawing.step()
        tell("a self-critical step, seconds", self_critical=drawn, cross_entropy=step, ratio=drawn / step)

        tuning = Bench(folder, "encoder.trainable=true")
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            tuning.model.encoder(tuning.epoch[0].images)
        flop = 3 * counter.get_total_flops()  # forwards, and backwards to the images and to the weights
        whole = tuning.step()
        rate, limit = flop / (whole - step), convolution_rate()
        tell("the CNN learns too, GFLOP a second", looksay=rate / 1e9, dense_convolution=limit / 1e9, part=rate / limit,
             seconds_a_step=whole, images_a_second=options.batch / whole)  # fmt: skip


if __name__ == "__main__":
    main()
