"""What the CNN itself recognises: nouns with probabilities, and which of them a caption ought to have.

The encoder was trained to tell ImageNet's classes apart before it learned to caption. A table in the bundle says what
people call these classes. A noun that is seen with confidence and that a caption lacks is asked for: `guided` searches
for the best caption that has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from looksay.errors import BundleError
from looksay.types import Tag

MOST = 2
"""Nouns that a caption is asked for, at most: the search costs as many times more as there are sets of them."""

_SHOWN = 0.1  # probability; less likely nouns are not told
_TINY = 1e-6


@dataclass(frozen=True)
class Concept:
    """A noun that the CNN may recognise.

    Attributes
    ----------
    words : tuple of str
        The noun, its plural and words for the same thing.
    named_by : tuple of str
        All words with which a caption has named it: a duck is named by ``bird``, and a bird by ``duck``.
    group : str
        Nouns of one group exclude each other; empty for none.
    classes : tuple of int
        The encoder's classes that it covers; none for a noun that is there for what it excludes.
    bias : float
        See `ConceptTable`.
    homonyms : tuple of str
        Those of its words that mean something else, too, and are never excluded: an orange shirt.
    """

    words: tuple[str, ...]
    named_by: tuple[str, ...]
    group: str
    classes: tuple[int, ...]
    bias: float = 0.0
    homonyms: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The noun itself."""
        return self.words[0]


class Wish(NamedTuple):
    """What a caption should have: a word of each of `wanted`, and none of `unwanted`."""

    wanted: list[tuple[str, ...]]
    unwanted: set[str]


@dataclass(frozen=True)
class ConceptTable:
    """From the scores of classes to nouns.

    A noun's share is the sum of the softmax of its classes. Its probability is
    ``sigmoid(scale * logit(share) + bias)``, fitted to be how often people mention the noun (Platt 1999).

    Attributes
    ----------
    concepts : tuple of Concept
    scale : float
    threshold : float
        A noun of this probability ought to be in the caption; chosen on the val split.
    rare_words : tuple of str
        Words that hardly any training caption had, and that are only said where they are asked for.
    """

    concepts: tuple[Concept, ...]
    scale: float = 1.0
    threshold: float = 0.5
    rare_words: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """How many of the encoder's classes are needed: up to the last one that has a noun."""
        return 1 + max((each for noun in self.concepts for each in noun.classes), default=-1)

    @cached_property
    def _covers(self) -> NDArray[np.float64]:
        """Which classes the nouns cover, as ones: (classes, nouns)."""
        covers = np.zeros((self.classes, len(self.concepts)))
        for place, noun in enumerate(self.concepts):
            covers[list(noun.classes), place] = 1
        return covers

    def shares(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the share of each noun: (images, nouns), from scores (images, classes) before the softmax."""
        likely = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        seen: NDArray[np.float64] = likely[:, : self.classes] @ self._covers
        return seen

    def probabilities(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of each noun: (images, nouns)."""
        bias = np.array([noun.bias for noun in self.concepts])
        seen: NDArray[np.float64] = 1 / (1 + np.exp(-(self.scale * logit(self.shares(scores)) + bias)))
        return seen

    def tags(self, probabilities: NDArray[np.float64], caption: Iterable[str]) -> tuple[Tag, ...]:
        """Return the likely nouns of an image, the likeliest first, and whether its caption names them."""
        said = set(caption)
        likely = [place for place in np.argsort(-probabilities) if probabilities[place] >= _SHOWN]
        return tuple(
            Tag(noun.name, float(probabilities[place]), not said.isdisjoint(noun.named_by))
            for place in likely
            if (noun := self.concepts[place])
        )

    def wish(self, probabilities: NDArray[np.float64], caption: Iterable[str]) -> Wish:
        """Return what a caption lacks: at most `MOST` nouns, one of a group, and nothing that these exclude.

        What the caption says already stays where the encoder is sure of it, too, or has no class for it: a giraffe.
        """
        said = set(caption)
        wish = Wish([], set())
        groups = {
            noun.group
            for noun, probability in zip(self.concepts, probabilities, strict=True)
            if not said.isdisjoint(noun.words) and (probability >= self.threshold or not noun.classes)
        }
        for place in np.argsort(-probabilities):
            noun = self.concepts[place]
            if probabilities[place] < self.threshold or len(wish.wanted) == MOST:
                break
            if (noun.group and noun.group in groups) or not said.isdisjoint(noun.named_by):
                continue
            groups.add(noun.group)
            said.update(noun.words)  # so that a laptop is not asked for beside a computer
            wish.wanted.append(noun.words)
            wish.unwanted.update(self._rivals(noun))
        return wish

    def _rivals(self, noun: Concept) -> set[str]:
        """Return the words of the nouns that a noun excludes."""
        others = (other for other in self.concepts if noun.group and other.group == noun.group)
        return {word for other in others for word in other.words if word not in other.homonyms} - set(noun.named_by)

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ConceptTable:
        """Read what `save` wrote.

        Raises
        ------
        BundleError
            If the file is missing or is no such table.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            nouns = tuple(
                Concept(
                    tuple(noun["words"]),
                    tuple(noun["named_by"]),
                    str(noun["group"]),
                    tuple(map(int, noun["classes"])),
                    float(noun["bias"]),
                    tuple(noun["homonyms"]),
                )
                for noun in told["concepts"]
            )
            return cls(nouns, float(told["scale"]), float(told["threshold"]), tuple(told["rare_words"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} is no table of nouns that looksay wrote: {error!r}") from error


def logit(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``log(p / (1 - p))``, for probabilities that may be 0 or 1."""
    inner = np.clip(shares, _TINY, 1 - _TINY)
    odds: NDArray[np.float64] = np.log(inner) - np.log1p(-inner)
    return odds
