"""Word precision: the share of a caption's words that its references have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain

from looksay.metrics.ngrams import Caption


class WordPrecision:
    """The share of a caption's words that a reference of its image has, each word weighted by its rarity.

    The weight is log(images / images with the word), from the references, so that "a" counts for little. A caption
    that is empty, or only has words of all images, has a precision of 0. A repeated word counts each time. Length does
    not matter, so as a reward it is added to CIDEr-D, which asks for complete captions.
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        self._words = [set(chain.from_iterable(captions)) for captions in references]
        self._log_images = math.log(len(references))
        images_with = Counter(chain.from_iterable(self._words))
        self._weights = {word: self._log_images - math.log(count) for word, count in images_with.items()}

    def image_scores(self, captions: Sequence[Caption], images: Sequence[int] | None = None) -> list[float]:
        """Return the precision of each caption, 0 to 1.

        `images` holds the index of each caption's image; by default there is one caption for each image, in order.
        """
        indices = range(len(captions)) if images is None else images
        return [self._precision(caption, self._words[image]) for caption, image in zip(captions, indices, strict=True)]

    def _precision(self, caption: Caption, words: set[Hashable]) -> float:
        weights = [self._weights.get(word, self._log_images) for word in caption]
        right = sum(weight for word, weight in zip(caption, weights, strict=True) if word in words)
        return right / (sum(weights) or 1.0)
