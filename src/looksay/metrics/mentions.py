"""Which things captions name: F1 of mention against people's captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from looksay.text.tokenizer import tokenize


class Mentions(NamedTuple):
    """How often a thing is named by captions and by people.

    Attributes
    ----------
    both, captions_only, people_only : int
        CaptionDataset.
    """

    both: int
    captions_only: int
    people_only: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1; 0 where nobody names the thing."""
        named = 2 * self.both + self.captions_only + self.people_only
        return 2 * self.both / named if named else 0.0


def mentions(
    said: Sequence[str], references: Sequence[Sequence[str]], things: Mapping[str, Sequence[str]]
) -> dict[str, Mentions]:
    """Count who names which things (as Hendricks et al. 2016 do): people name one if any of an image's captions does.

    Parameters
    ----------
    said : sequence of str
        A caption for each image.
    references : sequence of sequence of str
        Human agreement: captions of each.
    things : mapping of str to sequence of str
        Names of things, and the words that count as naming each.
    """
    ours = [set(tokenize(caption)) for caption in said]
    theirs = [{word for caption in captions for word in tokenize(caption)} for captions in references]
    counts = {}
    for name, words in things.items():
        pairs = [
            (not own.isdisjoint(words), not people.isdisjoint(words)) for own, people in zip(ours, theirs, strict=True)
        ]
        counts[name] = Mentions(pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)))
    return counts


def together(counts: Mapping[str, Mentions]) -> Mentions:
    """Return the sums over all things: their F1 counts every mention alike."""
    return Mentions(*(sum(column) for column in zip(*counts.values(), strict=True)))
