"""Counting n-grams, for BLEU and CIDEr-D."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

LONGEST = 4
NGrams = Counter[tuple[str, ...]]


def count(words: Sequence[str], longest: int = LONGEST) -> NGrams:
    """Count the n-grams of 1 to `longest` words."""
    return Counter(
        tuple(words[start : start + n]) for n in range(1, longest + 1) for start in range(len(words) - n + 1)
    )
