"""Training: one run, or one for each phase of a recipe."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from looksay.atomic_files import lock, replacing, sweep
from looksay.data import Dataset
from looksay.data.records import VAL_IMAGES, by_source
from looksay.decoding.decode import forced_tokens
from looksay.decoding.logits_processors import from_options
from looksay.errors import DataError, JobError, RunError
from looksay.models.caption_model import CaptionModel
from looksay.models.encoder import check_weights
from looksay.text.vocabulary import Vocabulary
from looksay.training import checkpoint, recipe_file
from looksay.training.build import build_model, build_vocabulary, trained_run
from looksay.training.caption_dataset import Share, caption_dataset
from looksay.training.checkpoint import RECIPE, VOCABULARY
from looksay.training.datamodule import CaptionDataModule, epoch_order, read_data
from looksay.training.module import MONITOR, CaptionModule
from looksay.training.recipe import Recipe
from looksay.training.run_loader import write_recipe
from looksay.training.trainer import device_count, fit, freed_memory_kept, is_first

log = logging.getLogger(__name__)


def train_phases(recipes: Sequence[Recipe], *, resume: bool = False) -> Path:
    """Train one recipe after another, and return the folder of the last run; see `recipe_file.phases` and `train`.

    With `resume`, the first recipe that is not finished is resumed.
    """
    if not is_first():
        logging.getLogger("looksay").setLevel(logging.ERROR)
    _check_phases(recipes, resume=resume)
    folder = Path()
    for number, recipe in enumerate(recipes, 1):
        folder = Path(recipe.training.run)
        exists = (folder / RECIPE).is_file()
        if len(recipes) > 1:
            log.info("phase %d of %d: %s", number, len(recipes), folder)
        if resume and exists and number < len(recipes) and _is_finished(folder, _saved_recipe(folder, recipe)):
            continue
        train(recipe, resume=resume and (exists or number == 1))
    return folder


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Train a captioner, and return the folder of the run.

    With `resume`, the run in ``training.run`` continues after its last complete epoch, with the recipe that it started
    with; nothing is done if it is finished.

    Raises
    ------
    RunError
        If the folder already holds a run and `resume` is false, or holds none and it is true.
    DataError, RecipeError
        If the data or the recipe cannot be used.
    """
    folder = Path(recipe.training.run)
    with _locked(folder) if is_first() else nullcontext(), freed_memory_kept():
        _train(recipe, folder, resume=resume)
    return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder, which is made, and removed again if nothing is written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise RunError(f"{folder} is a file: use a new folder with training.run=DIR") from error
    try:
        with lock(folder / RECIPE):
            yield
    except JobError as error:  # of the lock
        raise RunError(f"{folder}: another looksay trains there: wait for it, or use training.run=DIR") from error
    finally:
        with suppress(OSError):
            folder.rmdir()


def _train(recipe: Recipe, folder: Path, *, resume: bool) -> None:
    if resume:
        recipe = _saved_recipe(folder, recipe)
        if is_first():
            for part in (folder, (folder / checkpoint.LAST).parent, folder / checkpoint.SAMPLES):
                sweep(part)
        if _is_finished(folder, recipe) and _has_last_epoch(folder):
            return
    elif is_first():
        _check_new(folder)
    dataset = read_data(recipe)
    if problem := dataset.val_problem():
        raise DataError(problem)
    options = recipe.training
    images = len(epoch_order(dataset.split("train"), recipe, 0))
    advice = "" if options.start else dataset.advice(options.batch_size, options.epochs, images)
    for warning in filter(None, (*recipe.idle(), advice)):
        log.warning("%s", warning)
    vocabulary = Vocabulary.load(folder / VOCABULARY) if resume else build_vocabulary(dataset.split("train"), recipe)
    from_options(recipe.decoding, vocabulary)  # these two raise now what decoding would raise
    forced_tokens(recipe.decoding, vocabulary)
    model = build_model(recipe, vocabulary, dataset.split("train"))
    data = _data_module(dataset, recipe, vocabulary, model)
    module = CaptionModule(model, recipe, vocabulary)
    if not resume and is_first():
        with replacing(folder / VOCABULARY) as file:
            vocabulary.save(file)
        with replacing(folder / RECIPE) as file:  # last: a folder with a recipe is a run
            write_recipe(recipe, file)
    fit(module, data, recipe.training, folder, ddp_unused=recipe.encoder.trainable)


def _data_module(dataset: Dataset, recipe: Recipe, vocabulary: Vocabulary, model: CaptionModel) -> CaptionDataModule:
    options = recipe.training
    val = train = caption_dataset(dataset.split("val"), recipe, vocabulary, model)
    if options.epochs:
        train = caption_dataset(dataset.split("train"), recipe, vocabulary, model, augmented=True)
        if recipe.distillation.teachers:
            from looksay.training.distillation import SoftTargets

            train.soft_targets = SoftTargets(recipe.distillation.teachers, train, recipe)
    for source, indices in by_source(val.records).items():
        if len(indices) < VAL_IMAGES:
            name = f"mixture.{source}" if source in recipe.mixture else dataset.folder
            raise DataError(f"{name} has one val image that can be read: looksay data --check lists the others")
    data = CaptionDataModule(train, val, recipe)
    share = Share(0, device_count(options) * options.nodes)
    data.train_batches(0, share)  # raises now if the devices cannot share a batch
    data.val_batches(0, share)
    return data


def _check_phases(recipes: Sequence[Recipe], *, resume: bool) -> None:
    """Raise the errors of later phases before the first one starts."""
    if not is_first():
        return
    earlier: set[str] = set()
    for recipe in recipes:
        folder = Path(recipe.training.run)
        if not (resume and (folder / RECIPE).is_file()):
            needed = {"training.start": recipe.training.start, "distillation.teachers": recipe.distillation.teachers}
            for key, runs in needed.items():
                for run in set(runs) - earlier:
                    trained_run(key, run)
            if not recipe.training.start:
                check_weights(recipe.encoder.name, recipe.encoder.weights)
        if not resume:
            _check_new(folder)
        earlier.add(recipe.training.run)


def _check_new(folder: Path) -> None:
    """Refuse a folder that holds more than the first files of an interrupted start."""
    if (folder / RECIPE).exists():
        raise RunError(f"{folder} already holds a run: continue it with --resume, or use training.run=DIR")
    if folder.exists() and not (folder.is_dir() and {file.name for file in folder.glob("[!.]*")} <= {VOCABULARY}):
        raise RunError(f"{folder} holds other files: use a new folder with training.run=DIR")


def _saved_recipe(folder: Path, recipe: Recipe) -> Recipe:
    """Return the recipe that a run started with."""
    if not (folder / RECIPE).is_file():
        raise RunError(f"{folder} holds no run to resume: train without --resume")
    saved = recipe_file.load(folder / RECIPE)
    if _is_finished(folder, saved):
        log.warning("%s is finished: no epochs are left to train", folder)
    if saved != recipe:
        log.warning("%s resumes with the recipe that it started with; changes to it are ignored", folder)
    return saved


def _is_finished(folder: Path, recipe: Recipe) -> bool:
    """Return whether a run has all its epochs, or has been stopped early."""
    scores = [row[MONITOR] for row in checkpoint.read(folder)]
    without_gain = len(scores) - scores.index(max(scores)) - 1 if scores else 0
    return len(scores) >= max(1, recipe.training.epochs) or 0 < recipe.training.patience <= without_gain


def _has_last_epoch(folder: Path) -> bool:
    """Return whether all files of the last epoch were written: the checkpoint is the last of them."""
    last, metrics = folder / checkpoint.LAST, folder / checkpoint.METRICS
    return last.is_file() and last.stat().st_mtime >= metrics.stat().st_mtime
