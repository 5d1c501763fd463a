"""Records and caches → batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.data import Record
from looksay.data.image_cache import ImageCache
from looksay.models.caption_model import CaptionModel
from looksay.models.decoder import PADDING
from looksay.text.vocabulary import Vocabulary
from looksay.training import build
from looksay.training.batch import ALL, Batch, Share, active_rows
from looksay.training.feature_cache import CachedFeatures, CachedPixels
from looksay.training.recipe import Recipe
from looksay.training.sections import AugmentationOptions, TrainingOptions


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
            active_rows(targets, len(images)),
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
    spec = build.model_image_spec(recipe)
    folder = Path(recipe.data.cache) if recipe.data.cache else None
    cache = ImageCache([record.image for record in records], spec, folder)
    augmentation = recipe.augmentation
    if not augmented:
        augmentation = AugmentationOptions(flip=False, swapped=augmentation.swapped)
    pixels, features = CachedPixels(cache, augmentation), None
    if not recipe.encoder.unfrozen_stages(0):
        bf16 = build.precision(recipe.training.precision) == "bf16-mixed"
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
