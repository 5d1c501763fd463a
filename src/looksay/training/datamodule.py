"""The Lightning data module: the batches of each epoch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from looksay.errors import RecipeError
from looksay.training.batch import ALL, Batch, Share
from looksay.training.caption_dataset import CaptionDataset
from looksay.training.recipe import Recipe


class EpochBatches(Dataset[Batch]):
    """The batches of one epoch, of which a device gets its share.

    Parameters
    ----------
    dataset : CaptionDataset
    order : ndarray of int
        The indices of the images, batch after batch.
    batch_size, captions : int
        Images in a batch, and captions of each.
    share : Share
    trainable : bool
        Whether the encoder is trained and needs pixels.
    seed : tuple of int, optional
        Seeds the augmentation of each batch, so that it does not depend on earlier ones; without it there is none.

    Raises
    ------
    RecipeError
        If a batch has fewer images than there are devices.
    """

    def __init__(
        self,
        dataset: CaptionDataset,
        order: NDArray[np.intp],
        batch_size: int,
        captions: int,
        share: Share = ALL,
        *,
        trainable: bool = False,
        seed: tuple[int, ...] | None = None,
    ) -> None:
        self._dataset, self._order, self._captions = dataset, order, captions
        self._share, self._trainable, self._seed = share, trainable, seed
        count = len(order)
        if min(count, batch_size) < share.world_size:
            raise RecipeError(
                f"{share.world_size} devices cannot share {min(count, batch_size)} images: raise training.batch_size, "
                "or lower training.devices"
            )
        starts = list(range(0, count, batch_size))
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
    """The training and validation batches of a recipe.

    Parameters
    ----------
    train_data, val_data : CaptionDataset
    recipe : Recipe
    """

    def __init__(self, train_data: CaptionDataset, val_data: CaptionDataset, recipe: Recipe) -> None:
        super().__init__()
        self.train_data, self.val_data = train_data, val_data
        self._training, self._encoder = recipe.training, recipe.encoder
        self._weights = {name: options.weight for name, options in recipe.mixture.items()}
        self._main_weight = recipe.data.weight

    def train_batches(self, epoch: int, share: Share = ALL) -> EpochBatches:
        """Return the shuffled batches of an epoch: the same for the same seed and epoch."""
        seed = self._training.seed
        sources = [record.source for record in self.train_data.records]
        weights = {name: self._weights.get(name, self._main_weight) for name in sources} if self._weights else None
        order = epoch_order(sources, weights, np.random.default_rng([seed, epoch]))
        return self._batches(self.train_data, order, epoch, share, seed=(seed, epoch))

    def val_batches(self, epoch: int, share: Share = ALL) -> EpochBatches:
        """Return the batches of the val split."""
        return self._batches(self.val_data, np.arange(len(self.val_data)), epoch, share)

    def _batches(
        self,
        dataset: CaptionDataset,
        order: NDArray[np.intp],
        epoch: int,
        share: Share,
        seed: tuple[int, ...] | None = None,
    ) -> EpochBatches:
        options, trainable = self._training, self._encoder.unfrozen_stages(epoch) > 0
        return EpochBatches(
            dataset, order, options.batch_size, options.captions_per_image, share, trainable=trainable, seed=seed
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of this epoch; the trainer reloads it every epoch."""
        return self._loader(self.train_batches(*self._epoch_and_share()))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of the val split."""
        return self._loader(self.val_batches(*self._epoch_and_share()))

    def _epoch_and_share(self) -> tuple[int, Share]:
        if self.trainer is None:
            raise RuntimeError("a data loader needs a trainer: call train_batches or val_batches instead")
        return self.trainer.current_epoch, Share(self.trainer.global_rank, self.trainer.world_size)

    def _loader(self, batches: EpochBatches) -> DataLoader[Batch]:
        return DataLoader(
            batches,
            batch_size=None,
            num_workers=self._training.num_workers,
            pin_memory=torch.cuda.is_available(),
        )


def epoch_order(sources: list[str], weights: Mapping[str, float] | None, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the shuffled image indices of an epoch.

    Parameters
    ----------
    sources : list of str
        The data set of each image.
    weights : mapping of str to float, optional
        How often an epoch has the images of each data set of a mixture: all of them twice for 2, a random half of
        them for 0.5.
    """
    if weights is None:
        return rng.permutation(len(sources))
    chosen = []
    for source in dict.fromkeys(sources):
        indices = np.flatnonzero(np.array(sources) == source)
        chosen.append(np.resize(rng.permutation(indices), max(1, round(len(indices) * weights[source]))))
    return rng.permutation(np.concatenate(chosen))
