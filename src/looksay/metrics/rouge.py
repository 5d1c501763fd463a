"""ROUGE-L (Lin 2004), equal to coco-caption's."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from looksay.metrics.ngrams import Caption

_BETA = 1.2
_EMPTY = ("",)  # coco-caption splits an empty caption into one empty token


def rouge_l(captions: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> list[float]:
    """Return the score, 0 to 1, of one caption for each image, given the references of each image.

    Notes
    -----
    As in ``pycocoevalcap`` 1.2: the longest common subsequence with each reference gives a precision and a recall; the
    largest precision and the largest recall over the references give an F with beta 1.2.
    """
    return [_f(caption or _EMPTY, image) for caption, image in zip(captions, references, strict=True)]


def _f(caption: Caption, references: Sequence[Caption]) -> float:
    common = [_longest_common(caption, reference or _EMPTY) for reference in references]
    precision = max(common) / len(caption)
    recall = max(shared / max(1, len(reference)) for shared, reference in zip(common, references, strict=True))
    if not precision * recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _longest_common(caption: Caption, reference: Caption) -> int:
    """Return the length of the longest common subsequence.

    Bit-parallel (Hyyrö 2004): a number holds a row of the table, and its bits 0 mark where the row increases.
    """
    positions: dict[Hashable, int] = {}  # of each token of the reference, as the bits of a number
    for position, token in enumerate(reference):
        positions[token] = positions.get(token, 0) | 1 << position
    row = mask = (1 << len(reference)) - 1
    for token in caption:
        matches = row & positions.get(token, 0)
        row = (row + matches | row - matches) & mask
    return len(reference) - row.bit_count()
