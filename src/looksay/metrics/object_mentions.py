"""Mentions of objects: captions against references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from looksay.text.tokenizer import tokenize


class MentionCounts(NamedTuple):
    """Numbers of images in which captions and references mention an object."""

    both: int
    captions_only: int
    references_only: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1; 0 without any mention."""
        mentions = 2 * self.both + self.captions_only + self.references_only
        return 2 * self.both / mentions if mentions else 0.0


def count_mentions(
    captions: Sequence[str], references: Sequence[Sequence[str]], objects: Mapping[str, Sequence[str]]
) -> dict[str, MentionCounts]:
    """Count mentions of objects (Hendricks et al. 2016); references mention an object if any of them does.

    `objects` holds the words that mention each object.
    """
    caption_words = [set(tokenize(caption)) for caption in captions]
    reference_words = [{word for caption in image for word in tokenize(caption)} for image in references]
    counts = {}
    for name, words in objects.items():
        pairs = [
            (not own.isdisjoint(words), not human.isdisjoint(words))
            for own, human in zip(caption_words, reference_words, strict=True)
        ]
        counts[name] = MentionCounts(*(pairs.count(pair) for pair in ((True, True), (True, False), (False, True))))
    return counts


def total(counts: Mapping[str, MentionCounts]) -> MentionCounts:
    """Return the sums over all objects, for a micro-averaged F1."""
    return MentionCounts(*(sum(column) for column in zip(*counts.values(), strict=True)))
