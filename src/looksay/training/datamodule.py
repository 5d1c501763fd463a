"""The data sets of a recipe, joined into one, and the Lightning data module: the batches of each epoch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils import data as torch_data
from torch.utils.data import DataLoader

from looksay import data
from looksay.data import SPLITS, Dataset, Record
from looksay.data.records import by_source
from looksay.errors import RecipeError
from looksay.training.caption_dataset import ALL, Batch, CaptionDataset, Share
from looksay.training.recipe import Recipe

log = logging.getLogger(__name__)


def read_data(recipe: Recipe, folder: Path | None = None, others: Mapping[str, Path] | None = None) -> Dataset:
    """Read the data set of ``[data]`` and join those of ``[mixture.NAME]`` to it.

    `folder` replaces the folder of ``[data]``, and `others` those of ``[mixture.NAME]``, by name. In a mixture, each
    record's `source` is the name of its set: that of its folder, or of its section.

    Raises
    ------
    DataError, RecipeError
        If a data set cannot be read, if two sets have the same name, or if a name in `others` is unknown.
    """
    others = others or {}
    if unknown := set(others) - set(recipe.mixture):
        known = ", ".join(recipe.mixture) or "none"
        raise RecipeError(f"mixture.{unknown.pop()} is not in this recipe: use one of {known}")
    cache = Path(recipe.data.cache) if recipe.data.cache else None
    main = _read(folder or Path(recipe.data.folder), recipe.data, cache)
    if not recipe.mixture:
        return main
    name = main.folder.name or "data"
    if name in recipe.mixture:
        raise RecipeError(f"mixture.{name} has the name of data.folder: rename the section")
    records = [replace(record, source=name) for record in main.records]
    problems = list(main.problems)
    for name, options in recipe.mixture.items():
        mixed = _read(others.get(name, Path(options.folder)), options, cache)
        records += [
            replace(record, source=name, split=record.split if options.split == "own" else options.split)
            for record in mixed.records
        ]
        problems += mixed.problems
    counts = Counter(record.source for record in records)
    layout = " + ".join(f"{name} ({count:,} images)" for name, count in counts.items())
    return Dataset(main.folder, layout, tuple(records), tuple(problems))


def _read(folder: Path, options: data.ReadOptions, cache: Path | None) -> Dataset:
    """Read a data set and log its layout, its sizes and what was left out."""
    dataset = data.read(folder, options, cache=cache)
    counts = Counter(record.split for record in dataset.records)
    sizes = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
    log.info("%s: %s; images: %s", dataset.folder, dataset.layout, sizes)
    for problem in dataset.problems:
        log.warning("%s", problem)
    return dataset


class EpochBatches(torch_data.Dataset[Batch]):
    """The batches of one epoch, of which a device gets its share.

    `order` has the indices of the images, batch after batch. With `augmented`, each batch has a seed of its own, so
    that it does not depend on earlier ones. Batches with fewer images than there are devices raise a RecipeError.
    """

    def __init__(
        self,
        dataset: CaptionDataset,
        order: NDArray[np.intp],
        recipe: Recipe,
        epoch: int,
        share: Share,
        *,
        augmented: bool = False,
    ) -> None:
        options = recipe.training
        self._dataset, self._order, self._captions, self._share = dataset, order, options.captions_per_image, share
        self._trainable = recipe.encoder.unfrozen_stages(epoch) > 0
        self._seed = (options.seed, epoch) if augmented else None
        count = len(order)
        if min(count, options.batch_size) < share.world_size:
            raise RecipeError(
                f"{share.world_size} devices cannot share {min(count, options.batch_size)} images: raise "
                "training.batch_size, or lower training.devices"
            )
        starts = list(range(0, count, options.batch_size))
        if count - starts[-1] < share.world_size:  # a last batch too small for all devices joins the one before
            starts.pop()
        self._bounds = list(zip(starts, [*starts[1:], count], strict=True))

    def __len__(self) -> int:
        return len(self._bounds)

    def __getitem__(self, number: int) -> Batch:
        indices = self._order[slice(*self._bounds[number])].tolist()
        rng = np.random.default_rng([*self._seed, number]) if self._seed is not None else None
        return self._dataset.batch(indices, self._captions, rng, trainable=self._trainable, share=self._share)


class CaptionDataModule(LightningDataModule):
    """The training and validation batches of a recipe."""

    def __init__(self, train_data: CaptionDataset, val_data: CaptionDataset, recipe: Recipe) -> None:
        super().__init__()
        self.train_data, self.val_data, self._recipe = train_data, val_data, recipe

    def train_batches(self, epoch: int, share: Share = ALL) -> EpochBatches:
        """Return the shuffled batches of an epoch: the same for the same seed and epoch."""
        order = epoch_order(self.train_data.records, self._recipe, epoch)
        return EpochBatches(self.train_data, order, self._recipe, epoch, share, augmented=True)

    def val_batches(self, epoch: int, share: Share = ALL) -> EpochBatches:
        """Return the batches of the val split."""
        return EpochBatches(self.val_data, np.arange(len(self.val_data)), self._recipe, epoch, share)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of this epoch; the trainer reloads it every epoch."""
        return self._loader(self.train_batches)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of the val split."""
        return self._loader(self.val_batches)

    def _loader(self, batches: Callable[[int, Share], EpochBatches]) -> DataLoader[Batch]:
        if self.trainer is None:
            raise RuntimeError("a data loader needs a trainer: call train_batches or val_batches instead")
        share = Share(self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(
            batches(self.trainer.current_epoch, share),
            batch_size=None,
            num_workers=self._recipe.training.num_workers,
            pin_memory=torch.cuda.is_available(),
        )


def epoch_order(records: Sequence[Record], recipe: Recipe, epoch: int) -> NDArray[np.intp]:
    """Return the shuffled image indices of an epoch.

    Of each data set of a mixture there are as many as its weight says: all of them twice for 2, a random half for 0.5.
    """
    rng = np.random.default_rng([recipe.training.seed, epoch])
    if not recipe.mixture:
        return rng.permutation(len(records))
    chosen = []
    for source, indices in by_source(records).items():
        weight = recipe.mixture.get(source, recipe.data).weight
        chosen.append(np.resize(rng.permutation(indices), max(1, round(len(indices) * weight))))
    return rng.permutation(np.concatenate(chosen))
