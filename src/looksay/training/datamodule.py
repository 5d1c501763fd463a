"""The Lightning data module: the batches of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from looksay.errors import RecipeError
from looksay.training.caption_dataset import ALL, Batch, CaptionDataset, Share
from looksay.training.recipe import Recipe


class EpochBatches(Dataset[Batch]):
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
        recipe = self._recipe
        sources = [record.source for record in self.train_data.records]
        weights = {name: recipe.mixture.get(name, recipe.data).weight for name in sources} if recipe.mixture else None
        order = epoch_order(sources, weights, np.random.default_rng([recipe.training.seed, epoch]))
        return EpochBatches(self.train_data, order, recipe, epoch, share, augmented=True)

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


def epoch_order(sources: list[str], weights: Mapping[str, float] | None, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the shuffled image indices of an epoch, of which `sources` are the data sets.

    `weights` are, for each data set of a mixture, the times that an epoch has its images: all of them twice for 2, a
    random half of them for 0.5.
    """
    if weights is None:
        return rng.permutation(len(sources))
    chosen = []
    for source in dict.fromkeys(sources):
        indices = np.flatnonzero(np.array(sources) == source)
        chosen.append(np.resize(rng.permutation(indices), max(1, round(len(indices) * weights[source]))))
    return rng.permutation(np.concatenate(chosen))
