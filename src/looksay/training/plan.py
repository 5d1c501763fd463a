"""What a run will need, for ``looksay train --dry-run``: parameters, memory, disk, steps and time."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from looksay.data import image_cache
from looksay.errors import DataError
from looksay.models.caption_model import CaptionModel
from looksay.models.encoder import HUB, RANDOM
from looksay.training import build, losses
from looksay.training.checkpoint import VOCABULARY
from looksay.training.datamodule import epoch_order, read_data
from looksay.training.recipe import Recipe

_SAMPLE = 4  # images whose encoding and decoding is timed


def plans(recipes: Sequence[Recipe]) -> Iterator[str]:
    """Yield the plan of each phase of a recipe, line by line; nothing is written or downloaded.

    The times are measured on a few images of noise and exclude reading the images; validation lasts longer while the
    captions of an untrained model are long.
    """
    earlier: set[str] = set()
    for number, recipe in enumerate(recipes, 1):
        for run in set(recipe.training.start) - earlier:
            build.trained_run("training.start", run)
        earlier.add(recipe.training.run)
        if len(recipes) > 1:
            yield f"phase {number} of {len(recipes)}: {recipe.training.run}"
        yield from _plan(recipe)


def _plan(recipe: Recipe) -> Iterator[str]:
    options, dataset = recipe.training, read_data(recipe)
    if problem := dataset.val_problem():
        raise DataError(problem)
    train, val = dataset.split("train"), dataset.split("val")
    count = len(train) if options.epochs else 0
    # A later phase starts from a run that does not exist yet: its vocabulary is that of the captions.
    start = tuple(run for run in options.start if (Path(run) / VOCABULARY).is_file())
    planned = recipe.replace(training={"epochs": max(1, options.epochs), "start": start})
    vocabulary = build.build_vocabulary(train, planned)
    has_file = recipe.encoder.weights not in (HUB, RANDOM)  # which is then checked
    model = build.caption_model(recipe, vocabulary, pretrained=has_file)
    unfrozen = recipe.encoder.unfrozen_stages(max(0, options.epochs - 1))
    model.encoder.unfreeze(unfrozen)
    encoder, decoder = (sum(map(torch.numel, part.parameters())) for part in (model.encoder, model.decoder))
    total = sum(map(torch.numel, model.parameters()))
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    detector = f", word detector {total - encoder - decoder:,}" if model.detector else ""
    yield f"parameters: encoder {encoder:,}, decoder {decoder:,}{detector}; trained: {trained:,}"

    size, frozen = model.encoder.image.size, not recipe.encoder.unfrozen_stages(0)
    grid = math.prod(model.encoder.grid) * model.encoder.channels
    views = recipe.augmentation.views * (1 + recipe.augmentation.flip)
    pixels = 3 * size**2 * (count + len(val))
    features = 2 * grid * (views * count + len(val)) if frozen else 0  # of float16
    folder = Path(recipe.data.cache) if recipe.data.cache else image_cache.default_folder()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    yield f"cache in {folder}: images {_bytes(pixels)}, features {_bytes(features)}; free: {_bytes(free)}"
    if pixels + features > free:
        yield "the cache does not fit: set data.cache=DIR on a larger disk, or encoder.features=pooled"

    words = statistics.mean(
        min(options.max_length, len(text.split())) + 1 for record in train for text in record.references
    )
    rows = options.batch_size * options.captions_per_image
    inputs = options.batch_size * (3 * size**2 if unfrozen else 2 * grid)
    logits = 3 * 4 * rows * words * len(vocabulary)
    memory = 4 * total * (2 if options.ema_decay else 1) + 12 * trained + inputs + logits
    yield f"memory: {_bytes(memory)} or more (weights, gradients, optimiser, and the logits of a batch)"

    images = len(epoch_order(train, recipe, 0))
    steps = math.ceil(math.ceil(images / options.batch_size) / options.accumulate) * options.epochs
    yield f"steps: {steps:,} in {options.epochs} epochs of {images:,} images, vocabulary {len(vocabulary):,} words"
    if advice := "" if options.start else dataset.advice(options.batch_size, options.epochs, images):
        yield advice
    encode, step, decode = _seconds(model, recipe, round(words))
    passes = (views * count + len(val)) if frozen else options.epochs * (3 * images + len(val))
    seconds = passes * encode + steps * options.accumulate * step + max(1, options.epochs) * len(val) * decode
    device = "GPU" if torch.cuda.is_available() else "CPU"
    left_out = (
        "sampled captions" if recipe.self_critical.samples else "the teachers" if recipe.distillation.teachers else ""
    )
    note = f", and more for {left_out}" if left_out else ""
    yield f"time on this {device}: about {max(1, round(seconds / 60)):,} minutes{note}"


@torch.no_grad()
def _seconds(model: CaptionModel, recipe: Recipe, words: int) -> tuple[float, float, float]:
    """Return the seconds to encode an image, for a training step on encoded images, and to decode a caption."""
    options, device = recipe.training, torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    pixels = torch.randint(256, (_SAMPLE, *[model.encoder.image.size] * 2, 3), dtype=torch.uint8, device=device)
    grid, _ = model.encode(pixels)
    grids = grid[:1].expand(options.batch_size, -1, -1)
    vocab_size: int = model.decoder.embedding.table.num_embeddings
    tokens = torch.randint(vocab_size, (options.batch_size * options.captions_per_image, words), device=device)
    beams = recipe.decoding.num_beams * _SAMPLE
    memory, first = model.decoder.begin(grid)
    state = {name: value[:1].expand(beams, -1) for name, value in first.items()}

    @torch.enable_grad()
    def step() -> None:
        outputs, _ = model.decoder(grids, tokens)
        logits = model.decoder.output_head(outputs.flatten(0, 1))
        losses.cross_entropy(logits, tokens.flatten()).backward()  # type: ignore[no-untyped-call]

    def encode() -> None:
        model.encode(pixels)[0].cpu()

    def decode() -> None:
        embedded = model.decoder.embedding(tokens.new_zeros(beams))
        output, *_ = model.decoder.step(embedded, memory, state)
        model.decoder.output_head(output).float().log_softmax(dim=-1).cpu()

    encoding, decoding = _time(encode) / _SAMPLE, _time(decode) * words / _SAMPLE
    return encoding, _time(step), decoding


def _time(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes after a first time."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6)):,} MB"
