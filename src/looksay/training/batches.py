"""Records + cache → batches of images, each with its captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from looksay.data import Record
from looksay.data.image_cache import ImageCache
from looksay.errors import RecipeError
from looksay.models.caption_model import CaptionModel
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training import build
from looksay.training.feature_cache import Grids, Inputs, Mirrored, Pixels
from looksay.training.recipe import Recipe
from looksay.training.sections import AugmentationOptions


class Part(NamedTuple):
    """Which share of every batch a device has: the first of two has `Part(0, 2)`."""

    number: int
    of: int


WHOLE = Part(0, 1)


@dataclass(frozen=True)
class Batch:
    """Images and their captions.

    Attributes
    ----------
    images : Tensor of float32
        Pixels (images, 3, size, size), or grids (images, cells, channels) while the encoder is frozen.
    tokens : Tensor of int64, shape (rows, steps)
        ``<start>`` and the words; the captions of an image stand together, the same number for each.
    targets : Tensor of int64, shape (rows, steps)
        The words and ``<end>``, then `PADDING`.
    rows : tuple of (int, int)
        The image of each row, by its place in the split, and which of its captions it is.
    mirrored : ndarray of bool, shape (images,)
    going : for each step, (images, captions)
        So many first images, and first captions of each, hold all that still have a word to say; see `Decoder`. As
        the longest captions stand first, reading only these spares most of the padding.
    soft : tuple of Tensor, optional
        At each word of `targets`, one row after another, what teachers would say: their likeliest words and the
        probabilities of these, each (words, likeliest).
    words : int
        How many there are to say.
    weight : float
        What part of the words that all devices say in a step these are, times the number of devices: the mean of their
        losses, so weighted, is that of the words.
    """

    images: Tensor
    tokens: Tensor
    targets: Tensor
    rows: tuple[tuple[int, int], ...]
    mirrored: Mirrored
    going: tuple[tuple[int, int], ...]
    soft: tuple[Tensor, Tensor] | None = None
    words: int = 0
    weight: float = 1.0

    @property
    def places(self) -> tuple[int, ...]:
        """The places of the images in their split; in a mixture one may stand twice."""
        return tuple(image for image, _ in self.rows[:: len(self.rows) // len(self.images)])

    @property
    def counted(self) -> Tensor:
        """Where there is a word to say: (rows, steps) of bool. Scoring only these saves a third of the work."""
        return self.targets != PADDING

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device (Lightning calls this)."""
        images, tokens, targets = (tensor.to(device) for tensor in (self.images, self.tokens, self.targets))
        soft = self.soft and (self.soft[0].to(device), self.soft[1].to(device))
        return replace(self, images=images, tokens=tokens, targets=targets, soft=soft)


class CaptionDataset:
    """The images and captions of one split, without those that could not be read.

    Parameters
    ----------
    records : sequence of Record
    pixels : Pixels
        What an encoder that learns gets of them, in the order of `records`.
    grids : Grids, optional
        What a frozen one made of them.
    vocabulary : Vocabulary
    recipe : Recipe
        Captions longer than its ``max_length`` are cut; where one is cut, no ``<end>`` is taught. Its ``swapped`` words
        change places in the captions of mirrored images.

    Attributes
    ----------
    cache : ImageCache
    recipe : Recipe
    vocabulary : Vocabulary
    given : sequence of Record
        All of them.
    records : list of Record
        Those that could be read.
    captions : for each record, its captions, each a list of word ids to be said
    soft : callable, optional
        What teachers would say at each word of a caption, by its image's place and its own; see `SoftTargets`.
    """

    soft: Callable[[int, int], tuple[NDArray[np.int64], NDArray[np.float32]]] | None = None

    def __init__(
        self,
        records: Sequence[Record],
        pixels: Pixels,
        grids: Grids | None,
        vocabulary: Vocabulary,
        recipe: Recipe,
    ) -> None:
        self.cache = pixels.cache
        self._inputs: dict[bool, Inputs] = {True: pixels, False: grids or pixels}
        self._places = np.array([place for place in range(len(records)) if place not in self.cache.problems])
        self.recipe = recipe
        self.given = records
        self.records = [records[place] for place in self._places]
        self.vocabulary = vocabulary
        self.captions = [
            [[*vocabulary.encode(caption), vocabulary.end][: recipe.training.max_length + 1] for caption in said]
            for said in (record.references for record in self.records)
        ]
        self._mirror = _swap(vocabulary, recipe.augmentation.swapped)

    def __len__(self) -> int:
        return len(self.records)

    def __deepcopy__(self, _: object) -> Self:
        """Return itself: a copy of a model does not copy the data set (Lightning averages weights in a copy)."""
        return self

    def lengths(self) -> list[int]:
        """Return the number of words in each caption."""
        return [len(self.vocabulary.encode(caption)) for record in self.records for caption in record.references]

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return images as the model sees them: (len(indices), size, size, 3)."""
        return self.cache.pixels(self._places[indices].tolist())

    def batch(
        self,
        indices: Sequence[int],
        captions: int,
        draw: np.random.Generator | None = None,
        *,
        flip: bool = False,
        learning: bool = False,
        part: Part = WHOLE,
    ) -> Batch:
        """Return images with `captions` captions each, the longest first; of one that has fewer, some stand twice.

        Parameters
        ----------
        draw : Generator, optional
            Draws the captions of an image that has more than `captions`, and how images are changed; without it
            the first captions are taken and the images as they are.
        flip : bool
            Mirror each image with probability 1/2.
        learning : bool
            Whether the encoder learns, and needs pixels.
        part : Part
            Which of the images, from the longest captions to the shortest, are this device's.
        """
        chosen = []
        for index in indices:
            known = len(self.captions[index])
            order = draw.permutation(known) if draw else np.arange(known)
            of_one = [(len(self.captions[index][place]), index, place) for place in np.resize(order, captions).tolist()]
            chosen.append(sorted(of_one, reverse=True))
        chosen.sort(reverse=True)
        mirrored = draw.random(len(chosen)) < 1 / 2 if draw and flip else np.zeros(len(chosen), dtype=bool)
        of_all = sum(length for of_one in chosen for length, _, _ in of_one)
        chosen, mirrored = chosen[part.number :: part.of], mirrored[part.number :: part.of]
        words = sum(length for of_one in chosen for length, _, _ in of_one)
        rows = tuple((image, place) for of_one in chosen for _, image, place in of_one)
        shown = [of_one[0][1] for of_one in chosen]
        flipped = np.repeat(mirrored, captions)
        tokens, targets = self._teach([self.captions[image][place] for image, place in rows], flipped)
        seen = self._inputs[learning](self._places[shown].tolist(), mirrored, draw)
        going = tuple(_going(targets.numpy().reshape(len(shown), captions, -1) != PADDING))
        return Batch(
            seen, tokens, targets, rows, mirrored, going, self._hints(rows, flipped), words, words * part.of / of_all
        )

    def references(self) -> list[list[list[int]]]:
        """Return the ids of each image's captions, whole and without ``<end>``."""
        return [[self.vocabulary.encode(caption) for caption in record.references] for record in self.records]

    def unmirrored(self, said: Tensor, mirrored: Mirrored) -> Tensor:
        """Return captions (rows, steps) as they would be if no image were mirrored: left is right again."""
        rows = torch.from_numpy(np.repeat(mirrored, len(said) // len(mirrored))).to(said.device)[:, None]
        mirror = torch.from_numpy(self._mirror).to(said.device)
        return torch.where(rows & (said != PADDING), mirror[said], said)

    def _teach(self, captions: Sequence[Sequence[int]], flipped: Mirrored) -> tuple[Tensor, Tensor]:
        """Return what is read at each step, and what should be said."""
        steps = max(map(len, captions))
        targets = np.full((len(captions), steps), PADDING)
        for row, said in enumerate(captions):
            targets[row, : len(said)] = self._mirror[said] if flipped[row] else said
        tokens = np.roll(np.where(targets == PADDING, self.vocabulary.end, targets), 1, axis=1)
        tokens[:, 0] = self.vocabulary.start
        return torch.from_numpy(tokens), torch.from_numpy(targets)

    def _hints(self, captions: Sequence[tuple[int, int]], flipped: Mirrored) -> tuple[Tensor, Tensor] | None:
        """Return what the teachers would say at each word of captions, if there are teachers."""
        if self.soft is None:
            return None
        ids, probabilities = zip(*(self.soft(*caption) for caption in captions), strict=True)
        words = [self._mirror[said] if turned else said for said, turned in zip(ids, flipped, strict=True)]
        return torch.from_numpy(np.concatenate(words)), torch.from_numpy(np.concatenate(probabilities))


def images(
    records: Sequence[Record], recipe: Recipe, vocabulary: Vocabulary, model: CaptionModel, *, augmented: bool = False
) -> CaptionDataset:
    """Decode the images of records, and encode them if the encoder is frozen; both once, whatever runs follow.

    Parameters
    ----------
    augmented : bool
        Whether also to encode what the recipe's augmentation makes of them, for training.
    """
    spec = build.model_image_spec(recipe)
    cache = ImageCache(
        [record.image for record in records], spec, Path(recipe.data.cache) if recipe.data.cache else None
    )
    views = recipe.augmentation if augmented else AugmentationOptions(flip=False)
    pixels, grids = Pixels(cache, spec, views), None
    if not recipe.encoder.unfrozen_stages(0):
        bf16 = build.precision(recipe.training.precision) == "bf16-mixed"
        grids = Grids(pixels, model.encoder, bf16=bf16)
    return CaptionDataset(records, pixels, grids, vocabulary, recipe)


def _going(counted: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield what `Batch.going` is for words that count, (images, captions, steps)."""
    for now in np.moveaxis(counted, 2, 0):
        images, captions = now.nonzero()
        yield int(images.max()) + 1, int(captions.max()) + 1


def _swap(vocabulary: Vocabulary, pairs: Sequence[str]) -> NDArray[np.int64]:
    """Return which word stands for each in a mirror; the partner of a word may be unknown."""
    mirror = np.arange(len(vocabulary))
    for ids in map(vocabulary.encode, pairs):
        if len(ids) == 2:
            mirror[ids] = ids[::-1]
    mirror[vocabulary.unk] = vocabulary.unk
    return mirror


class _Batches(Dataset[Batch]):
    """Images in batches, of which a device has its part: each image once, with one device or many."""

    def __init__(self, images: CaptionDataset, recipe: Recipe, epoch: int, part: Part = WHOLE) -> None:
        self._images = images
        self._recipe = recipe
        self._epoch = epoch
        self._part = part
        self._learning = recipe.encoder.unfrozen_stages(epoch) > 0
        self._order = self._ordered()
        count, batch = len(self._order), recipe.training.batch_size
        if count < part.of or batch < part.of:
            raise RecipeError(
                f"{part.of} devices cannot share {min(count, batch)} images: raise training.batch_size, "
                "or lower training.devices"
            )
        starts = list(range(0, count, batch))
        if count - starts[-1] < part.of:  # too few for all devices: they go with the batch before
            starts.pop()
        self._bounds = list(zip(starts, [*starts[1:], count], strict=True))

    def _ordered(self) -> NDArray[np.intp]:
        """Return the places of all images of an epoch, batch after batch."""
        return np.arange(len(self._images))

    def __len__(self) -> int:
        return len(self._bounds)


class TrainBatches(_Batches):
    """The shuffled batches of one epoch: the same for the same seed and epoch, whatever came before.

    In a mixture, a set of weight 2 comes twice in an epoch, and one of weight 0.5 with a half that is drawn anew.
    """

    def _ordered(self) -> NDArray[np.intp]:
        draw = np.random.default_rng([self._recipe.training.seed, self._epoch])
        if not self._recipe.mixture:
            return draw.permutation(len(self._images))
        sources = np.array([record.source for record in self._images.records])
        chosen = []
        for source in dict.fromkeys(sources.tolist()):
            of_one = np.flatnonzero(sources == source)
            options = self._recipe.mixture.get(source)
            wanted = max(1, round(len(of_one) * (options.weight if options else self._recipe.data.weight)))
            chosen.append(np.resize(draw.permutation(of_one), wanted))
        return draw.permutation(np.concatenate(chosen))

    def __getitem__(self, number: int) -> Batch:
        options = self._recipe.training
        indices = self._order[slice(*self._bounds[number])].tolist()
        draw = np.random.default_rng([options.seed, self._epoch, number])
        return self._images.batch(
            indices,
            options.captions_per_image,
            draw,
            flip=self._recipe.augmentation.flip,
            learning=self._learning,
            part=self._part,
        )


class ValBatches(_Batches):
    """The batches of a split."""

    def __getitem__(self, number: int) -> Batch:
        indices = self._order[slice(*self._bounds[number])].tolist()
        return self._images.batch(
            indices, self._recipe.training.captions_per_image, learning=self._learning, part=self._part
        )
