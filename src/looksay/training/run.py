"""A run, or one for each phase, from its recipe to its best weights."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from looksay.atomic_files import replacing, sweep
from looksay.data import Dataset
from looksay.errors import DataError, RecipeError, RunError
from looksay.models import encoder
from looksay.models.caption_model import CaptionModel
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build, checkpoint, concept_list, mixture, recipe_file, vocabulary_expansion
from looksay.training.batches import Part, TrainBatches, images
from looksay.training.checkpoint import BEST, LAST, Journal
from looksay.training.distillation import SoftTargets
from looksay.training.module import MONITOR, CaptionModule
from looksay.training.recipe import Recipe
from looksay.training.run_loader import RECIPE, VOCABULARY, best_weights, mean_weights, write_recipe
from looksay.training.weight_averaging import MovingAverage

_FEW_WORDS = 50

log = logging.getLogger(__name__)


def train_phases(recipes: Sequence[Recipe], *, resume: bool = False) -> Path:
    """Train one recipe after another; see `config.phases` and `train`.

    Parameters
    ----------
    recipes : sequence of Recipe
    resume : bool
        Go on with the first one that has not all its epochs.

    Returns
    -------
    Path
        The folder of the last run.
    """
    if not is_first():
        logging.getLogger("looksay").setLevel(logging.ERROR)  # the first one tells
    _check(recipes, resume=resume)
    folder = Path()
    for place, recipe in enumerate(recipes, 1):
        folder = Path(recipe.training.run)
        begun = (folder / RECIPE).is_file()
        if len(recipes) > 1:
            log.info("phase %d of %d: %s", place, len(recipes), folder)
        if resume and begun and place < len(recipes) and _ended(folder, _resumed(folder, recipe)):
            continue
        train(recipe, resume=resume and (begun or place == 1))
    return folder


def _check(recipes: Sequence[Recipe], *, resume: bool) -> None:
    """Refuse what a later phase would trip over, before the first one begins."""
    if not is_first():
        return
    earlier: set[str] = set()
    for recipe in recipes:
        folder = recipe.training.run
        if not (resume and (Path(folder) / RECIPE).is_file()):
            needed = {"training.start": recipe.training.start, "distillation.teachers": recipe.distillation.teachers}
            for key, runs in needed.items():
                for run in set(runs) - earlier:
                    _begun(key, run)
        if not resume:
            _free(Path(folder))
        earlier.add(folder)


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Train a captioner.

    Parameters
    ----------
    recipe : Recipe
    resume : bool
        Go on from the last whole epoch of the run in ``training.run``, or from its start if there is none, with the
        recipe that the run began with.

    Returns
    -------
    Path
        The folder of the run.

    Raises
    ------
    RunError
        If the folder already holds a run and `resume` is false, or holds none and it is true.
    DataError, RecipeError
        If the data or the recipe cannot be used.
    """
    folder = Path(recipe.training.run)
    if resume:
        recipe = _resumed(folder, recipe)
        if is_first():
            sweep(folder)
    elif is_first():
        _free(folder)
    dataset = mixture.read(recipe)
    for idle in recipe.idle():
        log.warning("%s", idle)
    vocabulary = _vocabulary(folder, dataset, recipe, resume=resume)
    torch.manual_seed(recipe.training.seed)
    if recipe.vocabulary.concepts:
        encoder.classifier(recipe.encoder.name, recipe.encoder.weights)  # which the export needs: it refuses early
    model = build.caption_model(recipe, vocabulary, pretrained=not recipe.training.start)
    if recipe.training.start:
        _start(model, recipe, vocabulary)
    val = train = images(dataset.split("val"), recipe, vocabulary, model)
    if recipe.training.epochs:
        train = images(dataset.split("train"), recipe, vocabulary, model, augmented=True)
    if recipe.training.epochs and recipe.distillation.teachers:
        train.soft = SoftTargets(recipe.distillation.teachers, train)
    if len(val) < 2:
        raise DataError(f"{dataset.folder} has one val image; CIDEr-D, which chooses the checkpoint, compares several")
    part = Part(0, _count(recipe) * recipe.training.nodes)
    for seen in (train, val):
        TrainBatches(seen, recipe, 0, part)  # refuses what so many devices cannot share
    module = CaptionModule(model, recipe, vocabulary, train, val)
    if not resume and is_first():
        with replacing(folder / VOCABULARY) as file:
            vocabulary.save(file)
        with replacing(folder / RECIPE) as file:  # last: a folder with a recipe is a run
            write_recipe(recipe, file)
    _fit(module, recipe, folder)
    return folder


def is_first() -> bool:
    """Return whether this process is the one that writes and tells, of all that train together."""
    ranks = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")  # torchrun's, SLURM's and Lightning's names
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


def _free(folder: Path) -> None:
    """Refuse a folder that holds something else than an interrupted beginning."""
    if (folder / RECIPE).exists():
        raise RunError(f"{folder} already holds a run; go on with --resume or name another with training.run=DIR")
    if folder.exists() and not (folder.is_dir() and {file.name for file in folder.iterdir()} <= {VOCABULARY}):
        raise RunError(f"{folder} holds other files; name a new folder with training.run=DIR")


def _resumed(folder: Path, recipe: Recipe) -> Recipe:
    if not (folder / RECIPE).is_file():
        raise RunError(f"{folder} holds no run to go on with; train without --resume")
    begun = recipe_file.load(folder / RECIPE)
    if _ended(folder, begun):
        log.warning("%s has all its epochs; there is nothing left to train", folder)
    if begun != recipe:
        log.warning("going on with the recipe that %s began with; changes to it are not used", folder)
    return begun


def _ended(folder: Path, recipe: Recipe) -> bool:
    """Return whether a run has all its epochs, or as many as its patience gave it."""
    scores = [row[MONITOR] for row in checkpoint.read(folder)]
    waited = len(scores) - scores.index(max(scores)) - 1 if scores else 0
    return len(scores) >= max(1, recipe.training.epochs) or 0 < recipe.training.patience <= waited


def _vocabulary(folder: Path, dataset: Dataset, recipe: Recipe, *, resume: bool) -> Vocabulary:
    if resume:
        return Vocabulary.load(folder / VOCABULARY)
    started = recipe.training.start and Vocabulary.load(_begun("training.start", recipe.training.start[0]) / VOCABULARY)
    if started and not recipe.vocabulary.extend:
        return started
    captions = (text for record in dataset.split("train") for text in record.references)
    vocabulary = Vocabulary.build(captions, recipe.vocabulary.min_count)
    if started:
        named = [word for noun in concept_list.read() for word in noun.words] if recipe.vocabulary.concepts else []
        grown = started.extended([*vocabulary.tokens, *named])
        log.info("vocabulary: %d words of the start, and %d new ones", len(started), len(grown) - len(started))
        return grown
    known, least = len(vocabulary) - len(SPECIAL), recipe.vocabulary.min_count
    if not known:
        raise RecipeError(f"vocabulary.min_count={least}: no word of the train split occurs so often; lower it")
    log.info("vocabulary: %d words that occur %d times or more", known, least)
    if known < _FEW_WORDS:
        log.warning("so few words make poor captions: lower vocabulary.min_count, or look at the captions")
    return vocabulary


def _begun(key: str, run: str) -> Path:
    """Return the folder of a run to build on."""
    if not (Path(run) / BEST).is_file():
        raise RunError(f"{key}={run} is not a run that has completed an epoch")
    return Path(run)


def _start(model: CaptionModel, recipe: Recipe, vocabulary: Vocabulary) -> None:
    """Take the mean of the best weights of runs, grown to this vocabulary."""
    runs = [Path(run) for run in recipe.training.start]
    weights = []
    for run in runs:
        known = Vocabulary.load(run / VOCABULARY)
        if known != vocabulary and not (recipe.vocabulary.extend and known.tokens == vocabulary.tokens[: len(known)]):
            raise RecipeError(
                f"training.start: {run} has other words than {runs[0]}; start from runs on the same captions, "
                "or with vocabulary.extend from runs whose words the first one has, too"
            )
        own = best_weights([run])
        if known != vocabulary:
            own = vocabulary_expansion.grow(own, known, vocabulary, recipe.embedding.vectors)
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise RecipeError(
                f"training.start: {run} is another model; [encoder], [words] and [decoder] must be as in its {RECIPE}, "
                "and the run of this looksay"
            ) from error
        weights.append(own)
    model.load_state_dict(mean_weights(weights))


def _fit(module: CaptionModule, recipe: Recipe, folder: Path) -> None:
    options = recipe.training
    average = (
        MovingAverage(options.ema_decay, growing=not options.start) if options.ema_decay and options.epochs else None
    )
    callbacks: list[lightning.Callback] = [average] if average else []
    diary = Journal(folder, average)
    callbacks.append(diary)
    if options.patience:  # checked before the journal saves the checkpoint, which has the patience that is left
        callbacks.append(_Patience(MONITOR, mode="max", patience=options.patience, check_on_train_epoch_end=False))
    bars: list[Any] = [RichProgressBar()] if sys.stderr.isatty() and is_first() else []
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for intended in (
            "does not have many workers",  # batches come ready from memory-mapped files
            "in eval mode at the start of training",  # BatchNorm keeps its statistics, a frozen encoder all it has
            "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning's own
        ):
            warnings.filterwarnings("ignore", message=f".*{intended}")
        trainer = lightning.Trainer(
            max_epochs=options.epochs,
            **_devices(recipe),
            precision=build.precision(options.precision),
            gradient_clip_val=options.gradient_clip,
            accumulate_grad_batches=options.accumulate,
            reload_dataloaders_every_n_epochs=1,
            logger=TensorBoardLogger(folder, name="tensorboard", version=""),
            callbacks=[*bars, *callbacks],
            enable_progress_bar=bool(bars),
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        last = folder / LAST
        if options.epochs:
            trainer.fit(module, ckpt_path=_whole(last, module) if last.is_file() else None, weights_only=True)
        else:
            trainer.validate(module, verbose=False)
            diary.write(trainer, module, epoch=0)
            trainer.strategy.barrier()  # the next phase begins with what the first device writes


def _whole(checkpoint: Path, module: CaptionModule) -> Path:
    """Refuse a checkpoint that is damaged, or that would run code."""
    try:
        left = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:  # torch has errors of many kinds for it
        raise RunError(f"{checkpoint} is damaged, or no checkpoint of a run; copy the run again") from error
    if left.keys() != module.state_dict().keys():
        raise RunError(f"{checkpoint} is of another model, or of another looksay: train it anew")
    return checkpoint


def _count(recipe: Recipe) -> int:
    """Return the number of devices of this machine."""
    return recipe.training.devices or max(1, torch.cuda.device_count())


def _devices(recipe: Recipe) -> dict[str, Any]:
    """Return what tells Lightning which devices to use, and how."""
    options, devices = recipe.training, _count(recipe)
    strategy: Any = options.strategy
    if options.strategy == "ddp" or devices * options.nodes > 1:
        # Parts of the encoder that wait for their turn to learn have no gradients until then.
        strategy = DDPStrategy(find_unused_parameters=recipe.encoder.trainable)
    return {"devices": devices, "num_nodes": options.nodes, "strategy": strategy, "use_distributed_sampler": False}


class _Patience(EarlyStopping):
    """Lightning's early stopping, save that a run whose patience has ended is not begun again by resuming it."""

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        trainer.should_stop = self.wait_count >= self.patience
