"""Counting n-grams of many captions at once, for BLEU and CIDEr-D."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST = 4
Caption = Sequence[Hashable]  # words, or their ids
_Ints = NDArray[np.int64]
_Codes = NDArray[np.uint64]

# An n-gram is one 64-bit number: n words of 16 bits each, exactly. Beyond that many words it is a hash instead; that
# any two of a million n-grams get the same number then has a chance of 3 in a hundred million.
_EXACT = 1 << 15  # words of the references; as many more may be new in a prediction
_SHIFT = np.uint64(1 << 16)
_HASH = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class NGrams:
    """The n-grams of several captions, n = 1 to 4, each counted within its caption.

    Attributes
    ----------
    lengths : (captions,)
        Words of each caption.
    codes : (kinds,)
        The n-grams that occur at all, in rising order of their numbers.
    n : (kinds,)
        How long each is, less 1.
    caption, kind, hits : (rows,)
        Which caption, which n-gram (a place in `codes`), and how often; in order of captions.
    """

    lengths: _Ints
    codes: _Codes
    n: _Ints
    caption: _Ints
    kind: _Ints
    hits: _Ints


class References:
    """The references of a set of images, counted once.

    Parameters
    ----------
    references : for each image, its references, each a sequence of words or ids

    Attributes
    ----------
    ngrams : NGrams
        Of all references, image after image.
    image : (references,)
        The image of each reference.
    sizes, first : (images,)
        How many references an image has, and the place of its first one.
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        captions = [caption for others in references for caption in others]
        self.sizes = np.array([len(others) for others in references])
        self.first = np.cumsum(self.sizes) - self.sizes
        self.image = np.repeat(np.arange(len(references)), self.sizes)
        self._ids: dict[Hashable, int] = {}
        flat = [self._ids.setdefault(word, len(self._ids) + 1) for caption in captions for word in caption]
        self._base = _SHIFT if len(self._ids) < _EXACT else _HASH
        self.ngrams = _count(flat, captions, self._base)
        keys = self._keys(self.image[self.ngrams.caption], self.ngrams.kind)
        self._order = np.argsort(keys, kind="stable")
        self._keys_in_order = keys[self._order]

    def count(self, captions: Sequence[Caption]) -> NGrams:
        """Count the n-grams of other captions."""
        flat: list[int] = []
        for caption in captions:
            # No reference has a new word, so its number matters within its caption alone.
            new: dict[Hashable, int] = {}
            first = len(self._ids) + 1
            flat += [self._ids.get(word) or new.setdefault(word, first + len(new)) for word in caption]
        return _count(flat, captions, self._base)

    def images_with(self) -> _Ints:
        """Return in how many images each n-gram of `ngrams` occurs: its document frequency."""
        is_first = np.diff(self._keys_in_order, prepend=-1) > 0  # of its image
        kinds = self._keys_in_order[is_first] % max(1, len(self.ngrams.codes))
        return np.bincount(kinds, minlength=len(self.ngrams.codes))

    def kinds(self, other: NGrams) -> _Ints:
        """Return the place of each n-gram of `other` among those of the references, or -1."""
        if not len(self.ngrams.codes):  # no reference has a word
            return np.full(len(other.codes), -1)
        places = np.searchsorted(self.ngrams.codes, other.codes)
        places[places == len(self.ngrams.codes)] = 0
        return np.where(self.ngrams.codes[places] == other.codes, places, -1)

    def matches(self, other: NGrams, images: _Ints) -> tuple[_Ints, _Ints]:
        """Find the n-grams that captions share with the references of their images.

        Parameters
        ----------
        other : NGrams
        images : (captions,)

        Returns
        -------
        tuple of two arrays
            Rows of `other` and rows of `ngrams`, a pair for each shared n-gram and reference that has it.
        """
        kinds = self.kinds(other)[other.kind]
        known = np.flatnonzero(kinds >= 0)
        keys = self._keys(images[other.caption[known]], kinds[known])
        start = np.searchsorted(self._keys_in_order, keys, "left")
        spans = np.searchsorted(self._keys_in_order, keys, "right") - start
        within = np.arange(spans.sum()) - np.repeat(np.cumsum(spans) - spans, spans)
        return np.repeat(known, spans), self._order[np.repeat(start, spans) + within]

    def _keys(self, image: _Ints, kind: _Ints) -> _Ints:
        keys: _Ints = image * len(self.ngrams.codes) + kind
        return keys


def _count(words: Sequence[int], captions: Sequence[Caption], base: np.uint64) -> NGrams:
    flat = np.array(words, dtype=np.uint64)
    lengths = np.array([len(caption) for caption in captions], dtype=np.int64)
    caption = np.repeat(np.arange(len(captions)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(flat))  # words from here to the caption's end
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
