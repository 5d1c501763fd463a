"""Vectorised n-gram counts for BLEU and CIDEr-D."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST = 4
Caption = Sequence[Hashable]  # tokens or their ids
_Ints = NDArray[np.int64]
_Codes = NDArray[np.uint64]

# An n-gram is one 64-bit number: n tokens of 16 bits each. With more different tokens it is a hash; the probability
# that any two of a million n-grams collide is then 3e-8.
_EXACT = 1 << 15  # different tokens of the references; a prediction may have as many new ones
_SHIFT = np.uint64(1 << 16)
_HASH = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class NGrams:
    """The n-grams of several captions, n = 1 to 4, counted within each caption: a row for each caption and n-gram."""

    lengths: _Ints  # (captions,), number of tokens of each caption
    codes: _Codes  # (kinds,), the different n-grams, sorted
    n: _Ints  # (kinds,), length of each n-gram, minus 1
    caption: _Ints  # (rows,), sorted
    kind: _Ints  # (rows,), n-gram as an index of `codes`
    hits: _Ints  # (rows,), count


class References:
    """The n-grams of the references of a set of images, each reference a sequence of tokens or ids.

    `ngrams` holds those of all references, image by image; `image` the image of each reference, shape (references,);
    `sizes` and `first` the number of references of each image and the index of the first, shape (images,).
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        captions = [caption for image in references for caption in image]
        self.sizes = np.array([len(image) for image in references])
        self.first = np.cumsum(self.sizes) - self.sizes
        self.image = np.repeat(np.arange(len(references)), self.sizes)
        self._ids: dict[Hashable, int] = {}
        flat = [self._ids.setdefault(token, len(self._ids) + 1) for caption in captions for token in caption]
        self._base = _SHIFT if len(self._ids) < _EXACT else _HASH
        self.ngrams = _count(flat, captions, self._base)
        keys = self._keys(self.image[self.ngrams.caption], self.ngrams.kind)
        self._order = np.argsort(keys, kind="stable")
        self._keys_in_order = keys[self._order]

    def count(self, captions: Sequence[Caption]) -> NGrams:
        """Return the n-grams of other captions."""
        flat: list[int] = []
        for caption in captions:
            # No reference has a new token, so its id only needs to be unique within its caption.
            new: dict[Hashable, int] = {}
            first = len(self._ids) + 1
            flat += [self._ids.get(token) or new.setdefault(token, first + len(new)) for token in caption]
        return _count(flat, captions, self._base)

    def images_with(self) -> _Ints:
        """Return the document frequency of each n-gram: the number of images whose references have it."""
        is_first = np.diff(self._keys_in_order, prepend=-1) > 0  # of its image
        kinds = self._keys_in_order[is_first] % max(1, len(self.ngrams.codes))
        return np.bincount(kinds, minlength=len(self.ngrams.codes))

    def kinds(self, other: NGrams) -> _Ints:
        """Return the index of each n-gram of `other` among those of the references, or -1."""
        if not len(self.ngrams.codes):  # all references are empty
            return np.full(len(other.codes), -1)
        indices = np.searchsorted(self.ngrams.codes, other.codes)
        indices[indices == len(self.ngrams.codes)] = 0
        return np.where(self.ngrams.codes[indices] == other.codes, indices, -1)

    def matches(self, other: NGrams, images: _Ints) -> tuple[_Ints, _Ints]:
        """Find the n-grams that captions share with the references of their images, shape (captions,).

        Return rows of `other` and rows of `ngrams`: a pair for each shared n-gram and reference.
        """
        kinds = self.kinds(other)[other.kind]
        known = np.flatnonzero(kinds >= 0)
        keys = self._keys(images[other.caption[known]], kinds[known])
        start = np.searchsorted(self._keys_in_order, keys, "left")
        spans = np.searchsorted(self._keys_in_order, keys, "right") - start
        offset = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        return np.repeat(known, spans), self._order[np.repeat(start, spans) + offset]

    def _keys(self, image: _Ints, kind: _Ints) -> _Ints:
        keys: _Ints = image * len(self.ngrams.codes) + kind
        return keys


def _count(ids: Sequence[int], captions: Sequence[Caption], base: np.uint64) -> NGrams:
    flat = np.array(ids, dtype=np.uint64)
    lengths = np.array([len(caption) for caption in captions], dtype=np.int64)
    caption = np.repeat(np.arange(len(captions)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(flat))  # tokens up to the caption's end
    code, codes, rows, sizes = np.zeros_like(flat), [], [], []
    for n in range(LONGEST):
        end = max(0, len(flat) - n)
        code[:end] = code[:end] * base + flat[n:]
        fits = left > n
        codes.append(code[fits])
        rows.append(caption[fits])
        sizes.append(np.full(len(rows[-1]), n))
    kinds, first, inverse = np.unique(np.concatenate(codes), return_index=True, return_inverse=True)
    pairs, hits = np.unique(np.concatenate(rows) * max(1, len(kinds)) + inverse, return_counts=True)
    return NGrams(lengths, kinds, np.concatenate(sizes)[first], *np.divmod(pairs, max(1, len(kinds))), hits)
