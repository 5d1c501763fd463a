"""The speed of training, side by side: ``python benchmarks/training_speed.py DATA``.

- An epoch with cached features, against a textbook captioner of the same sizes: each sample is an image with one
  caption, the frozen CNN encodes it again every time, an LSTM cell runs to the longest caption of the batch, additive
  attention projects all cells at each step, fp32.
- A self-critical step, against a cross-entropy step of the same batch.
- A step that fine-tunes the encoder: the rate of its convolutions, against this machine's own bf16 rate; and the same
  step when malloc returns freed memory to the system, which looksay's training prevents.

With ``--profile`` instead, where the time of each of these steps goes: torch.profiler's operations with the largest
shares of their own time, on the GPU if there is one.

Weights are random (speed does not depend on them); images and captions are real.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import torch
from timing import ROOT, median_seconds, parser, print_row
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity
from torch.utils.flop_counter import FlopCounterMode

from looksay import data
from looksay.models.caption_model import CaptionModel
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training import build, recipe_file
from looksay.training.caption_dataset import caption_dataset
from looksay.training.datamodule import CaptionDataModule
from looksay.training.feature_cache import precision
from looksay.training.module import CaptionModule
from looksay.training.trainer import freed_memory_kept

STEPS = 9
PROFILED_STEPS = 3
PROFILED_OPERATIONS = 8
KINDS: dict[str, tuple[str, ...]] = {
    "cross-entropy, cached features": (),
    "self-critical, cached features": ("self_critical.samples=5",),
    "the encoder is fine-tuned": ("encoder.trainable=true",),
}


class TextbookCaptioner(nn.Module):
    """Soft attention as tutorials implement it."""

    def __init__(self, model: CaptionModel, vocab_size: int, size: int, dropout: float) -> None:
        super().__init__()
        channels = model.encoder.channels
        self.encode = model.encode
        self.embedding = nn.Embedding(vocab_size, size)
        self.keys, self.query, self.energy = nn.Linear(channels, size), nn.Linear(size, size), nn.Linear(size, 1)
        self.initial_hidden, self.initial_cell = nn.Linear(channels, size), nn.Linear(channels, size)
        self.lstm = nn.LSTMCell(size + channels, size)
        self.output_head = nn.Sequential(nn.Dropout(dropout), nn.Linear(size, vocab_size))

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Return logits (captions, steps, vocab) for images of the captions and tokens (captions, steps)."""
        with torch.no_grad():
            grid, _ = self.encode(images)
        pooled = grid.mean(dim=1)
        hidden, cell = self.initial_hidden(pooled), self.initial_cell(pooled)
        logits = []
        for step in range(tokens.shape[1]):
            energies = self.energy(torch.relu(self.keys(grid) + self.query(hidden)[:, None]))
            context = (energies.softmax(dim=1) * grid).sum(dim=1)
            hidden, cell = self.lstm(torch.cat([self.embedding(tokens[:, step]), context], dim=1), (hidden, cell))
            logits.append(self.output_head(hidden))
        return torch.stack(logits, dim=1)


def step_seconds(loss: Callable[[int], Tensor], model: nn.Module) -> float:
    """Return the median seconds of a training step: loss, gradients and AdamW."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, numbers = torch.optim.AdamW(parameters, lr=1e-4), count()

    def step() -> None:
        value = loss(next(numbers))
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return median_seconds(step, STEPS)


class Trainee:
    """A recipe's model with its data, and its Lightning module outside a trainer."""

    def __init__(self, folder: Path, *changes: str) -> None:
        changes = (f"data.folder={folder}", "encoder.weights=random", *changes)
        self.recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
        records = data.read(folder).split("train")
        vocabulary = Vocabulary.build((t for r in records for t in r.references), self.recipe.vocabulary.min_count)
        self.vocab_size = len(vocabulary)
        self.model = build.caption_model(self.recipe, vocabulary).train()
        self.model.encoder.unfreeze(self.recipe.encoder.unfrozen_stages(0))
        self.dataset = caption_dataset(records[:512], self.recipe, vocabulary, self.model, augmented=True)
        datamodule = CaptionDataModule(self.dataset, self.dataset, self.recipe)
        self.batches = datamodule.train_batches(0)
        self.module = CaptionModule(self.model, self.recipe, vocabulary)
        self.module.trainer = SimpleNamespace(datamodule=datamodule, world_size=1, current_epoch=0)  # type: ignore[assignment]
        self.module._log = lambda *_, **__: None  # type: ignore[method-assign]

    def loss(self, number: int) -> Tensor:
        """Return the loss of a batch, as in training."""
        bf16 = precision(self.recipe.training.precision) == "bf16-mixed"
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return self.module.training_step(self.batches[number], number)


def textbook_captions_per_second(trainee: Trainee, batch_size: int = 32) -> float:
    """Return the captions per second that the textbook captioner trains on."""
    sizes = trainee.recipe.decoder
    model = TextbookCaptioner(trainee.model, trainee.vocab_size, sizes.size, sizes.dropout)
    trainee.model.encoder.eval()

    def loss(number: int) -> Tensor:
        batch = trainee.dataset.batch(range(number * batch_size, (number + 1) * batch_size), 1, trainable=True)
        logits = model(batch.images, batch.tokens)
        return functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=PADDING)

    return batch_size / step_seconds(loss, model)


def convolution_rate() -> float:
    """Return the bf16 FLOP per second of a large dense convolution, forward and backward."""
    convolution = nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    inputs = torch.randn(32, 256, 30, 30).contiguous(memory_format=torch.channels_last).requires_grad_()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            outputs = convolution(inputs)
        outputs.backward(torch.ones_like(outputs))

    return 3 * 2 * 32 * 30 * 30 * 256 * 256 * 9 / median_seconds(step, STEPS)


def profile(trainee: Trainee) -> dict[str, str]:
    """Return the shares of the time of three training steps, by operation."""
    parameters = [parameter for parameter in trainee.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    has_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if has_gpu else [])]
    with torch.profiler.profile(activities=activities) as profiler:
        for number in range(PROFILED_STEPS):
            optimizer.zero_grad()
            trainee.loss(number).backward()
            optimizer.step()
    times = {
        event.key: event.self_device_time_total if has_gpu else event.self_cpu_time_total
        for event in profiler.key_averages()
    }
    largest = sorted(times.items(), key=lambda item: -item[1])[:PROFILED_OPERATIONS]
    return {name: f"{100 * value / sum(times.values()):.1f} %" for name, value in largest}


def main() -> None:
    """Measure one after another."""
    arguments = parser(__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--profile", action="store_true", help="profile the steps instead")
    options = arguments.parse_args()
    folder = options.data
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LOOKSAY_CACHE"] = cache
        if options.profile:
            for what, change in KINDS.items():
                trainee = Trainee(folder, *change)
                trainee.loss(0).backward()  # the first step reads the data
                print_row(what=what, **profile(trainee))
            return
        tuned = Trainee(folder, *KINDS["the encoder is fine-tuned"])
        returned_seconds = step_seconds(tuned.loss, tuned.model)  # first: malloc does not go back to all its defaults
        cached = Trainee(folder)
        options = cached.recipe.training
        textbook = textbook_captions_per_second(cached)
        with freed_memory_kept():
            seconds = step_seconds(cached.loss, cached.model)
        rate = options.batch_size * options.captions_per_image / seconds
        print_row(what="cached features, captions per second", looksay=rate, textbook=textbook, ratio=rate / textbook)

        sampled = Trainee(folder, *KINDS["self-critical, cached features"])
        with freed_memory_kept():
            self_critical = step_seconds(sampled.loss, sampled.model)
        print_row(what="a self-critical step, seconds", self_critical=self_critical, cross_entropy=seconds,
                  ratio=self_critical / seconds)  # fmt: skip

        with FlopCounterMode(display=False) as counter, torch.no_grad():
            tuned.model.encode(tuned.batches[0].images)
        flop = 3 * counter.get_total_flops()  # forward, and backward to the inputs and to the weights
        with freed_memory_kept():
            tuned_seconds = step_seconds(tuned.loss, tuned.model)
        print_row(what="a step that fine-tunes the encoder, seconds", kept=tuned_seconds,
                  returned=returned_seconds, ratio=returned_seconds / tuned_seconds)  # fmt: skip
        rate, dense = flop / (tuned_seconds - seconds) / 1e9, convolution_rate() / 1e9
        print_row(what="the encoder is fine-tuned, GFLOP per second", looksay=rate, dense_convolution=dense,
                  ratio=rate / dense, seconds_per_step=tuned_seconds,
                  images_per_second=options.batch_size / tuned_seconds)  # fmt: skip


if __name__ == "__main__":
    main()
