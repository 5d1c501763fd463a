"""Records + cache → batches of pictures, each with its captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from looksay.data import Record
from looksay.nets.decoder import PADDING
from looksay.train.inputs import Grids, Inputs, Mirrored, Pixels
from looksay.train.recipe import Recipe
from looksay.vocabulary import Vocabulary


@dataclass(frozen=True)
class Batch:
    """Pictures and their captions.

    Attributes
    ----------
    pictures : Tensor of float32
        Pixels (pictures, 3, size, size), or grids (pictures, cells, channels) while the encoder is frozen.
    tokens : Tensor of int64, shape (rows, steps)
        ``<start>`` and the words; the captions of a picture stand together, the same number for each.
    targets : Tensor of int64, shape (rows, steps)
        The words and ``<end>``, then `PADDING`.
    places : tuple of int
        Of the pictures in their split.
    mirrored : ndarray of bool, shape (pictures,)
    """

    pictures: Tensor
    tokens: Tensor
    targets: Tensor
    places: tuple[int, ...]
    mirrored: Mirrored

    @property
    def counted(self) -> Tensor:
        """Where there is a word to say: (rows, steps) of bool. Scoring only these saves a third of the work."""
        return self.targets != PADDING

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device (Lightning calls this)."""
        pictures, tokens, targets = (tensor.to(device) for tensor in (self.pictures, self.tokens, self.targets))
        return replace(self, pictures=pictures, tokens=tokens, targets=targets)


class Pictures:
    """The pictures and captions of one split, without those that could not be read.

    Parameters
    ----------
    records : sequence of Record
    pixels : Pixels
        What an encoder that learns gets of them, in the order of `records`.
    grids : Grids, optional
        What a frozen one made of them.
    vocabulary : Vocabulary
    recipe : Recipe
        Captions longer than its ``max_words`` are cut; where one is cut, no ``<end>`` is taught. Its ``swapped`` words
        change places in the captions of mirrored pictures.
    """

    def __init__(
        self,
        records: Sequence[Record],
        pixels: Pixels,
        grids: Grids | None,
        vocabulary: Vocabulary,
        recipe: Recipe,
    ) -> None:
        self._cache = pixels.cache
        self._inputs: dict[bool, Inputs] = {True: pixels, False: grids or pixels}
        self._places = np.array([place for place in range(len(records)) if place not in self._cache.problems])
        self.records = [records[place] for place in self._places]
        self._vocabulary = vocabulary
        self._captions = [
            [[*vocabulary.encode(caption), vocabulary.end][: recipe.training.max_words + 1] for caption in said]
            for said in (record.references for record in self.records)
        ]
        self._in_a_mirror = _swap(vocabulary, recipe.augmentation.swapped)

    def __len__(self) -> int:
        return len(self.records)

    def __deepcopy__(self, _: object) -> Self:
        """Return itself: a copy of a model does not copy the data set (Lightning averages weights in a copy)."""
        return self

    def lengths(self) -> list[int]:
        """Return the number of words in each caption."""
        return [len(self._vocabulary.encode(caption)) for record in self.records for caption in record.references]

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return pictures as the model sees them: (len(indices), size, size, 3)."""
        return self._cache.pixels(self._places[indices].tolist())

    def batch(
        self,
        indices: Sequence[int],
        captions: int,
        draw: np.random.Generator | None = None,
        *,
        flip: bool = False,
        learning: bool = False,
    ) -> Batch:
        """Return pictures with `captions` captions each; where a picture has fewer, some stand twice.

        Parameters
        ----------
        draw : Generator, optional
            Draws the captions of a picture that has more than `captions`, and how pictures are changed; without it
            the first captions are taken and the pictures as they are.
        flip : bool
            Mirror each picture with probability 1/2.
        learning : bool
            Whether the encoder learns, and needs pixels.
        """
        said = []
        for index in indices:
            known = self._captions[index]
            order = draw.permutation(len(known)) if draw else np.arange(len(known))
            said.append([known[place] for place in np.resize(order, captions)])
        mirrored = draw.random(len(indices)) < 1 / 2 if draw and flip else np.zeros(len(indices), dtype=bool)
        rows = [
            [self._in_a_mirror.get(word, word) for word in caption] if flipped else caption
            for flipped, known in zip(mirrored, said, strict=True)
            for caption in known
        ]
        tokens, targets = self._teach(rows)
        places = self._places[indices].tolist()
        return Batch(self._inputs[learning](places, mirrored, draw), tokens, targets, tuple(indices), mirrored)

    def references(self) -> list[list[list[int]]]:
        """Return the ids of each picture's captions, whole and without ``<end>``."""
        return [[self._vocabulary.encode(caption) for caption in record.references] for record in self.records]

    def unmirrored(self, said: Tensor, mirrored: Mirrored) -> Tensor:
        """Return captions (rows, steps) as they would be if no picture were mirrored: left is right again."""
        rows = torch.from_numpy(np.repeat(mirrored, len(said) // len(mirrored))).to(said.device)
        whole = said.clone()
        for word, other in self._in_a_mirror.items():
            whole[(said == word) & rows[:, None]] = other
        return whole

    def _teach(self, captions: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return what is read at each step, and what should be said."""
        steps = max(map(len, captions))
        tokens = torch.full((len(captions), steps), self._vocabulary.end)
        targets = torch.full((len(captions), steps), PADDING)
        for row, said in enumerate(captions):
            tokens[row, : len(said)] = torch.tensor([self._vocabulary.start, *said[:-1]])
            targets[row, : len(said)] = torch.tensor(said)
        return tokens, targets


def _swap(vocabulary: Vocabulary, pairs: Sequence[str]) -> dict[int, int]:
    """Return which word stands for which in a mirror; the partner of a word may be unknown."""
    known = [ids for ids in map(vocabulary.encode, pairs) if len(ids) == 2]
    return {one: other for ids in known for one, other in (ids, ids[::-1]) if one != vocabulary.unknown}


class TrainBatches(Dataset[Batch]):
    """The shuffled batches of one epoch: the same for the same seed and epoch, whatever came before."""

    def __init__(self, pictures: Pictures, recipe: Recipe, epoch: int) -> None:
        self._pictures = pictures
        self._recipe = recipe
        self._epoch = epoch
        self._order = np.random.default_rng([recipe.training.seed, epoch]).permutation(len(pictures))

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._recipe.training.batch)

    def __getitem__(self, number: int) -> Batch:
        recipe, options = self._recipe, self._recipe.training
        indices = self._order[number * options.batch : (number + 1) * options.batch].tolist()
        draw = np.random.default_rng([options.seed, self._epoch, number])
        learning = recipe.encoder.learning_stages(self._epoch) > 0
        return self._pictures.batch(indices, options.captions, draw, flip=recipe.augmentation.flip, learning=learning)


class ValBatches(Dataset[tuple[Batch, list[int]]]):
    """The batches of a split in order, each with the places of its pictures."""

    def __init__(self, pictures: Pictures, recipe: Recipe, epoch: int) -> None:
        self._pictures = pictures
        self._options = recipe.training
        self._learning = recipe.encoder.learning_stages(epoch) > 0

    def __len__(self) -> int:
        return math.ceil(len(self._pictures) / self._options.batch)

    def __getitem__(self, number: int) -> tuple[Batch, list[int]]:
        first = number * self._options.batch
        indices = list(range(first, min(first + self._options.batch, len(self._pictures))))
        return self._pictures.batch(indices, self._options.captions, learning=self._learning), indices
