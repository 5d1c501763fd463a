"""Caption text ↔ word ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from looksay.errors import BundleError, DataError
from looksay.words import join, tokenize

SPECIAL = ("<start>", "<end>", "<unknown>")


@dataclass(frozen=True)
class Vocabulary:
    """The words a model knows; a word's place in `words` is its id.

    Attributes
    ----------
    words : tuple of str
        ``<start>``, ``<end>`` and ``<unknown>`` first, then words from the most to the least frequent.
    """

    words: tuple[str, ...]

    start = 0
    end = 1
    unknown = 2

    def __post_init__(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL:
            raise DataError(f"a vocabulary starts with {' '.join(SPECIAL)}; this one starts with {self.words[:3]}")
        if len(set(self.words)) != len(self.words):
            twice = [word for word, count in Counter(self.words).items() if count > 1]
            raise DataError(f"these words stand twice in the vocabulary: {' '.join(twice[:5])}")

    @classmethod
    def build(cls, captions: Iterable[str], min_count: int = 1) -> Vocabulary:
        """Collect the words that occur at least `min_count` times; ties in frequency are in alphabetical order."""
        counts = Counter(word for caption in captions for word in tokenize(caption))
        kept = [word for word, count in counts.items() if count >= min_count and word not in SPECIAL]
        return cls(SPECIAL + tuple(sorted(kept, key=lambda word: (-counts[word], word))))

    def grown(self, words: Iterable[str]) -> Vocabulary:
        """Return these words, and after them those of `words` that are new."""
        known = set(self.words)
        return Vocabulary(self.words + tuple(word for word in dict.fromkeys(words) if word not in known))

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words)}

    def encode(self, caption: str) -> list[int]:
        """Return the ids of a caption's words, without ``<start>`` and ``<end>``."""
        return [self._ids.get(word, self.unknown) for word in tokenize(caption)]

    def known(self, words: Iterable[str]) -> list[int]:
        """Return the ids of those of some words that are known."""
        return [self._ids[word] for word in words if word in self._ids]

    def spell(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Return the words of `ids`."""
        return tuple(self.words[index] for index in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the caption that `ids` spell, as a person would write it: ``dog 's`` becomes ``dog's``."""
        return join(self.spell(ids))

    def save(self, path: Path) -> None:
        """Write the words as JSON."""
        path.write_text(json.dumps({"words": self.words}, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises
        ------
        BundleError
            If the file is missing or is not a vocabulary.
        """
        try:
            return cls(tuple(json.loads(path.read_text(encoding="utf-8"))["words"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} is not a vocabulary that looksay wrote: {error}") from error
