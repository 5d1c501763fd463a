"""Records + cache → batches of pictures, each with its captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from looksay.data import Record
from looksay.data.cache import PictureCache
from looksay.train.config import TrainingOptions
from looksay.train.inputs import Inputs
from looksay.train.losses import PADDING
from looksay.vocabulary import Vocabulary


@dataclass(frozen=True)
class Batch:
    """Pictures and their captions.

    Attributes
    ----------
    pictures : Tensor of float32
        Pixels (pictures, 3, size, size), or grids (pictures, cells, channels) where the encoder is frozen.
    tokens : Tensor of int64, shape (rows, steps)
        ``<start>`` and the words; the captions of a picture stand together, the same number for each.
    targets : Tensor of int64, shape (rows, steps)
        The words and ``<end>``, then `PADDING`.
    """

    pictures: Tensor
    tokens: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device (Lightning calls this)."""
        return Batch(self.pictures.to(device), self.tokens.to(device), self.targets.to(device))


class Pictures:
    """The pictures and captions of one split, without those that could not be read.

    Parameters
    ----------
    records : sequence of Record
    cache : PictureCache
        Of the pictures of `records`, in their order.
    inputs : Inputs
        What the model gets of them.
    vocabulary : Vocabulary
    max_words : int
        Longer captions are cut; where one is cut, no ``<end>`` is taught.
    """

    def __init__(
        self, records: Sequence[Record], cache: PictureCache, inputs: Inputs, vocabulary: Vocabulary, max_words: int
    ) -> None:
        self._cache = cache
        self._inputs = inputs
        self._places = np.array([place for place in range(len(records)) if place not in cache.problems])
        self.records = [records[place] for place in self._places]
        self._vocabulary = vocabulary
        self._captions = [
            [[*vocabulary.encode(caption), vocabulary.end][: max_words + 1] for caption in record.references]
            for record in self.records
        ]

    def __len__(self) -> int:
        return len(self.records)

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return pictures as the model sees them: (len(indices), size, size, 3)."""
        return self._cache.pixels(self._places[indices].tolist())

    def batch(
        self, indices: Sequence[int], captions: int, draw: np.random.Generator | None = None, *, flip: bool = False
    ) -> Batch:
        """Return pictures with `captions` captions each; where a picture has fewer, some stand twice.

        Parameters
        ----------
        draw : Generator, optional
            Draws the captions of a picture that has more than `captions`; without it the first ones are taken.
        flip : bool
            Mirror each picture with probability 1/2.
        """
        rows: list[list[int]] = []
        for index in indices:
            said = self._captions[index]
            order = draw.permutation(len(said)) if draw else np.arange(len(said))
            rows += [said[place] for place in np.resize(order, captions)]
        mirrored = draw.random(len(indices)) < 1 / 2 if draw and flip else np.zeros(len(indices), dtype=bool)
        tokens, targets = self._teach(rows)
        return Batch(self._inputs(self._places[indices].tolist(), mirrored), tokens, targets)

    def _teach(self, captions: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return what is read at each step, and what should be said."""
        steps = max(map(len, captions))
        tokens = torch.full((len(captions), steps), self._vocabulary.end)
        targets = torch.full((len(captions), steps), PADDING)
        for row, said in enumerate(captions):
            tokens[row, : len(said)] = torch.tensor([self._vocabulary.start, *said[:-1]])
            targets[row, : len(said)] = torch.tensor(said)
        return tokens, targets


class TrainBatches(Dataset[Batch]):
    """The shuffled batches of one epoch: the same for the same seed and epoch, whatever came before."""

    def __init__(self, pictures: Pictures, options: TrainingOptions, epoch: int) -> None:
        self._pictures = pictures
        self._options = options
        self._epoch = epoch
        self._order = np.random.default_rng([options.seed, epoch]).permutation(len(pictures))

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._options.batch)

    def __getitem__(self, number: int) -> Batch:
        options = self._options
        indices = self._order[number * options.batch : (number + 1) * options.batch].tolist()
        draw = np.random.default_rng([options.seed, self._epoch, number])
        return self._pictures.batch(indices, options.captions, draw, flip=options.flip)


class ValBatches(Dataset[tuple[Batch, list[int]]]):
    """The batches of a split in order, each with the places of its pictures."""

    def __init__(self, pictures: Pictures, options: TrainingOptions) -> None:
        self._pictures = pictures
        self._options = options

    def __len__(self) -> int:
        return math.ceil(len(self._pictures) / self._options.batch)

    def __getitem__(self, number: int) -> tuple[Batch, list[int]]:
        first = number * self._options.batch
        indices = list(range(first, min(first + self._options.batch, len(self._pictures))))
        return self._pictures.batch(indices, self._options.captions), indices
