"""The vocabulary of a model: caption text ↔ token ids."""

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
    """The tokens of a model; the index of a token is its id."""

    tokens: tuple[str, ...]  # <start>, <end> and <unk>, then words from the most to the least frequent

    start = 0
    end = 1
    unk = 2

    def __post_init__(self) -> None:
        if self.tokens[: len(SPECIAL)] != SPECIAL:
            raise DataError(f"the vocabulary starts with {self.tokens[:3]} instead of {SPECIAL}")
        duplicates = [word for word, count in Counter(self.tokens).items() if count > 1]
        if duplicates:
            raise DataError(f"the vocabulary has duplicate words: {' '.join(duplicates[:5])}")

    @classmethod
    def build(cls, captions: Iterable[str], min_count: int = 1) -> Vocabulary:
        """Return the words that occur at least `min_count` times; words of equal frequency in alphabetical order."""
        counts = Counter(word for caption in captions for word in tokenize(caption))
        kept = [word for word, count in counts.items() if count >= min_count and word not in SPECIAL]
        return cls(SPECIAL + tuple(sorted(kept, key=lambda word: (-counts[word], word))))

    def extended(self, words: Iterable[str]) -> Vocabulary:
        """Return a vocabulary with the new ones of `words` added at the end."""
        known = set(self.tokens)
        return Vocabulary(self.tokens + tuple(word for word in dict.fromkeys(words) if word not in known))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.tokens) if word not in SPECIAL}

    def encode(self, caption: str) -> list[int]:
        """Return the token ids of a caption, without ``<start>`` and ``<end>``; unknown words give ``<unk>``."""
        return [self._ids.get(word, self.unk) for word in tokenize(caption)]

    def known_ids(self, words: Iterable[str]) -> list[int]:
        """Return the ids of those words that are in the vocabulary."""
        return [self._ids[word] for word in words if word in self._ids]

    def to_tokens(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Return the tokens of `ids`."""
        return tuple(self.tokens[index] for index in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a caption: the tokens ``dog 's`` become ``dog's``."""
        return join(self.to_tokens(ids))

    def save(self, path: Path) -> None:
        """Write the tokens as JSON."""
        path.write_text(json.dumps({"tokens": self.tokens}, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read a file that `save` wrote; raise a `BundleError` if it is missing or is not a vocabulary."""
        try:
            return cls(tuple(json.loads(path.read_text(encoding="utf-8"))["tokens"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{path} is not a vocabulary that looksay wrote: {error}; export the model again"
            ) from error
