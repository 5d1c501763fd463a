"""Records and caches → batches of images and captions, of which a device gets its share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.data import Record
from looksay.data.image_cache import ImageCache
from looksay.models.caption_model import CaptionModel
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training.feature_cache import CachedFeatures, CachedPixels, precision
from looksay.training.recipe import Recipe
from looksay.training.sections import AugmentationOptions, TrainingOptions


class Share(NamedTuple):
    """The share of every batch that a device gets."""

    rank: int
    world_size: int


ALL = Share(0, 1)


@dataclass(frozen=True)
class Batch:
    """Images and their captions, the longest captions first; the captions of an image are adjacent.

    Computed on the CPU, `word_indices` let a GPU select the words without a synchronisation; scoring only them saves a
    third of the work. The mean over devices of their losses times `weight` is the mean over words.
    """

    images: Tensor  # pixels of uint8 (images, size, size, 3), or features of float16 (images, cells, channels)
    tokens: Tensor  # of int64 (rows, steps): ``<start>`` and the words, the same number of rows for each image
    targets: Tensor  # of int64 (rows, steps): the words and ``<end>``, then `PADDING`
    word_indices: Tensor  # of int64 (words,): the places in the flattened targets that are not padding
    rows: tuple[tuple[int, int], ...]  # for each row, the index of its image in the split and of its caption
    mirrored: NDArray[np.bool_]  # (images,)
    active: tuple[tuple[int, int], ...]  # for each step, the images and captions to read; see `Decoder.forward`
    soft_targets: tuple[Tensor, Tensor] | None = None  # the teachers' top tokens and probabilities, (words, top) each
    weight: float = 1.0  # this share of the words of the whole batch, times the number of devices

    @property
    def indices(self) -> tuple[int, ...]:
        """The indices of the images in their split; in a mixture, one can occur twice."""
        return tuple(image for image, _ in self.rows[:: len(self.rows) // len(self.images)])

    def words_of(self, steps: Tensor) -> Tensor:
        """Return the entries of a tensor (rows, steps, ...) that are not padding: (words, ...)."""
        return steps.flatten(0, 1).index_select(0, self.word_indices)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; the copies from pinned memory do not block."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory (the DataLoader calls this)."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        tensors: dict[str, Any] = {
            name: function(value) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        soft_targets = self.soft_targets and (function(self.soft_targets[0]), function(self.soft_targets[1]))
        return replace(self, **tensors, soft_targets=soft_targets)


class CaptionDataset:
    """The images and captions of one split, without unreadable images.

    `pixels` are for an encoder that is trained, `features` of a frozen one. A caption that is cut at the options'
    `max_length` has no ``<end>``.

    Attributes
    ----------
    records : list of Record
        The records with a readable image, of `all_records`.
    captions : list of list of list of int
        The target token ids of each caption of each record.
    soft_targets : callable, optional
        The soft targets of a caption by the indices of its image and its caption; see `SoftTargets`.
    """

    soft_targets: Callable[[int, int], tuple[NDArray[np.int64], NDArray[np.float32]]] | None = None

    def __init__(
        self,
        records: Sequence[Record],
        pixels: CachedPixels,
        features: CachedFeatures | None,
        vocabulary: Vocabulary,
        options: TrainingOptions,
    ) -> None:
        self.cache = pixels.cache
        self._pixels, self._features = pixels, features
        self._cache_indices = np.array([index for index in range(len(records)) if index not in self.cache.problems])
        self.all_records = records
        self.records = [records[index] for index in self._cache_indices]
        self.vocabulary = vocabulary
        self.captions = [
            [[*vocabulary.encode(text), vocabulary.end][: options.max_length + 1] for text in record.references]
            for record in self.records
        ]
        self._length_buckets = options.length_buckets
        self._mirrored_ids = _mirrored_ids(vocabulary, pixels.augmentation.swapped)

    def __len__(self) -> int:
        return len(self.records)

    def lengths(self) -> list[int]:
        """Return the number of words of each caption."""
        return [len(caption) for captions in self.references() for caption in captions]

    def references(self) -> list[list[list[int]]]:
        """Return the token ids of each image's captions, uncut and without ``<end>``."""
        return [[self.vocabulary.encode(text) for text in record.references] for record in self.records]

    def word_frequencies(self, batch: Batch, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the part of each image's captions that have a token: (images, tokens)."""
        column = {token: place for place, token in enumerate(tokens)}
        frequencies = np.zeros((len(batch.indices), len(tokens)), dtype=np.float32)
        for row, (image, flip) in enumerate(zip(batch.indices, batch.mirrored, strict=True)):
            captions = [self._mirrored_ids[caption].tolist() if flip else caption for caption in self.captions[image]]
            for caption in captions:
                places = [column[token] for token in set(caption) if token in column]
                frequencies[row, places] += 1 / len(captions)
        return frequencies

    def pixels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return images: (len(indices), size, size, 3)."""
        return self.cache.pixels(self._cache_indices[indices].tolist())

    def batch(
        self,
        indices: Sequence[int],
        captions: int,
        rng: np.random.Generator | None = None,
        *,
        trainable: bool = False,
        share: Share = ALL,
    ) -> Batch:
        """Return a device's share of images, sorted by caption length, with `captions` captions each.

        Captions are repeated for an image that has fewer. `rng` samples captions, where an image has more, and
        augmentation, including mirroring; without it the first captions and the unchanged images are taken. With
        `trainable` the batch has pixels, even if there are cached features.
        """
        images = []  # of each, its captions as (length, image, caption), the longest first
        for image in indices:
            count = len(self.captions[image])
            order = rng.permutation(count) if rng else np.arange(count)
            chosen = np.resize(order, captions).tolist()
            images.append(
                sorted(((len(self.captions[image][caption]), image, caption) for caption in chosen), reverse=True)
            )
        images.sort(reverse=True)
        flip = rng is not None and self._pixels.augmentation.flip
        mirrored = rng.random(len(images)) < 1 / 2 if rng and flip else np.zeros(len(images), dtype=bool)
        words_of_all = sum(length for rows in images for length, _, _ in rows)
        images, mirrored = images[share.rank :: share.world_size], mirrored[share.rank :: share.world_size]

        rows = tuple((image, caption) for captions_ in images for _, image, caption in captions_)
        row_mirrored = np.repeat(mirrored, captions)
        tokens, targets = self._tokens_and_targets(rows, row_mirrored)
        word_indices = np.flatnonzero(targets != PADDING)
        inputs = self._features if self._features and not trainable else self._pixels
        cache_indices = self._cache_indices[[image for image, _ in rows[::captions]]].tolist()
        return Batch(
            inputs(cache_indices, mirrored, rng),
            torch.from_numpy(tokens),
            torch.from_numpy(targets),
            torch.from_numpy(word_indices),
            rows,
            mirrored,
            _active_rows(targets, len(images)),
            self._soft_targets(rows, row_mirrored),
            len(word_indices) * share.world_size / words_of_all,
        )

    def unmirror(self, tokens: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return captions (rows, steps) of mirrored images as captions of the originals: left is right again."""
        rows = np.repeat(mirrored, len(tokens) // len(mirrored))[:, None]
        return np.where(rows & (tokens != PADDING), self._mirrored_ids[tokens], tokens)

    def _tokens_and_targets(
        self, rows: Sequence[tuple[int, int]], mirrored: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        captions = [self.captions[image][caption] for image, caption in rows]
        steps = max(map(len, captions))
        if self._length_buckets:
            steps = math.ceil(steps / self._length_buckets) * self._length_buckets
        targets = np.full((len(captions), steps), PADDING)
        for row, caption in enumerate(captions):
            targets[row, : len(caption)] = self._mirrored_ids[caption] if mirrored[row] else caption
        tokens = np.roll(np.where(targets == PADDING, self.vocabulary.end, targets), 1, axis=1)
        tokens[:, 0] = self.vocabulary.start
        return tokens, targets

    def _soft_targets(
        self, rows: Sequence[tuple[int, int]], mirrored: NDArray[np.bool_]
    ) -> tuple[Tensor, Tensor] | None:
        if self.soft_targets is None:
            return None
        ids, probabilities = zip(*(self.soft_targets(*row) for row in rows), strict=True)
        ids = tuple(self._mirrored_ids[top] if flip else top for top, flip in zip(ids, mirrored, strict=True))
        return torch.from_numpy(np.concatenate(ids)), torch.from_numpy(np.concatenate(probabilities))


def caption_dataset(
    records: Sequence[Record], recipe: Recipe, vocabulary: Vocabulary, model: CaptionModel, *, augmented: bool = False
) -> CaptionDataset:
    """Build the data set of a split: decode its images, and encode them if the encoder starts frozen.

    Both are cached on disk and shared by all runs. `augmented` applies the recipe's augmentation, for training.
    """
    folder = Path(recipe.data.cache) if recipe.data.cache else None
    cache = ImageCache([record.image for record in records], model.encoder.image, folder)
    augmentation = recipe.augmentation
    if not augmented:
        augmentation = AugmentationOptions(flip=False, swapped=augmentation.swapped)
    pixels, features = CachedPixels(cache, augmentation), None
    if not recipe.encoder.unfrozen_stages(0):
        bf16 = precision(recipe.training.precision) == "bf16-mixed"
        features = CachedFeatures(pixels, model.encoder, bf16=bf16)
    return CaptionDataset(records, pixels, features, vocabulary, recipe.training)


def _mirrored_ids(vocabulary: Vocabulary, pairs: Sequence[str]) -> NDArray[np.int64]:
    """Return the token id that replaces each id in a mirrored caption: ``<unk>`` if the partner is unknown."""
    mirrored = np.arange(len(vocabulary))
    for ids in map(vocabulary.encode, pairs):
        if len(ids) == 2:
            mirrored[ids] = ids[::-1]
    mirrored[vocabulary.unk] = vocabulary.unk
    return mirrored


def _active_rows(targets: NDArray[np.int64], images: int) -> tuple[tuple[int, int], ...]:
    """Return `Batch.active` for targets (rows, steps); steps of padding alone are read for one row."""
    unfinished = np.moveaxis(targets.reshape(images, -1, targets.shape[1]) != PADDING, 2, 0)
    last = [[int(indices.max(initial=0)) for indices in step.nonzero()] for step in unfinished]
    return tuple((image + 1, caption + 1) for image, caption in last)
