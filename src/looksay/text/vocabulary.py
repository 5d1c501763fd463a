"""Caption text ↔ word ids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from looksay.errors import BundleError, DataError
from looksay.text.tokenizer import join, tokenize

SPECIAL = ("<start>", "<end>", "<unk>")


@dataclass(frozen=True)
class Vocabulary:
    """The words a model knows; a word's place in `tokens` is its id.

    Attributes
    ----------
    tokens : tuple of str
        ``<start>``, ``<end>`` and ``<unk>`` first, then words from the most to the least frequent.
    """

    tokens: tuple[str, ...]

    start = 0
    end = 1
    unk = 2

    def __post_init__(self) -> None:
        if self.tokens[: len(SPECIAL)] != SPECIAL:
            raise DataError(f"a vocabulary starts with {' '.join(SPECIAL)}; this one starts with {self.tokens[:3]}")
        if len(set(self.tokens)) != len(self.tokens):
            twice = [word for word, count in Counter(self.tokens).items() if count > 1]
            raise DataError(f"these words stand twice in the vocabulary: {' '.join(twice[:5])}")

    @classmethod
    def build(cls, captions: Iterable[str], min_count: int = 1) -> Vocabulary:
        """Collect the words that occur at least `min_count` times; ties in frequency are in alphabetical order."""
        counts = Counter(word for caption in captions for word in tokenize(caption))
        kept = [word for word, count in counts.items() if count >= min_count and word not in SPECIAL]
        return cls(SPECIAL + tuple(sorted(kept, key=lambda word: (-counts[word], word))))

    def extended(self, words: Iterable[str]) -> Vocabulary:
        """Return these words, and after them those of `words` that are new."""
        known = set(self.tokens)
        return Vocabulary(self.tokens + tuple(word for word in dict.fromkeys(words) if word not in known))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.tokens)}

    def encode(self, caption: str) -> list[int]:
        """Return the ids of a caption's words, without ``<start>`` and ``<end>``."""
        return [self._ids.get(word, self.unk) for word in tokenize(caption)]

    def known_ids(self, words: Iterable[str]) -> list[int]:
        """Return the ids of those of some words that are known."""
        return [self._ids[word] for word in words if word in self._ids]

    def to_tokens(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Return the words of `ids`."""
        return tuple(self.tokens[index] for index in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the caption that `ids` spell, as a person would write it: ``dog 's`` becomes ``dog's``."""
        return join(self.to_tokens(ids))

    def save(self, path: Path) -> None:
        """Write the words as JSON."""
        path.write_text(json.dumps({"tokens": self.tokens}, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises
        ------
        BundleError
            If the file is missing or is not a vocabulary.
        """
        try:
            return cls(tuple(json.loads(path.read_text(encoding="utf-8"))["tokens"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} is not a vocabulary that looksay wrote: {error}") from error
