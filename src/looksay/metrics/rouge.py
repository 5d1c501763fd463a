"""ROUGE-L (Lin 2004), equal to coco-caption's."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from looksay.metrics.ngrams import Caption

_BETA = 1.2
_EMPTY = ("",)  # coco-caption splits an empty caption into one empty token


class RougeL:
    """ROUGE-L against a fixed set of references: for each image, its references, each a sequence of tokens.

    Notes
    -----
    As in ``pycocoevalcap`` 1.2: the longest common subsequence with each reference gives a precision and a recall; the
    largest precision and the largest recall over the references give an F with beta 1.2.
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        self._references = [
            [(max(1, len(reference)), _positions(reference or _EMPTY)) for reference in image] for image in references
        ]

    def image_scores(self, predictions: Sequence[Caption]) -> list[float]:
        """Return the score of one caption for each image, in the order of the references, 0 to 1."""
        return [self._f(prediction, image) for prediction, image in zip(predictions, self._references, strict=True)]

    def _f(self, caption: Caption, references: Sequence[tuple[int, dict[Hashable, int]]]) -> float:
        caption = caption or _EMPTY
        common = [_longest_common(caption, length, positions) for length, positions in references]
        precision = max(common) / len(caption)
        recall = max(shared / length for shared, (length, _) in zip(common, references, strict=True))
        if not precision * recall:
            return 0.0
        return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _positions(caption: Caption) -> dict[Hashable, int]:
    """Return the positions of each token as the bits of a number."""
    positions: dict[Hashable, int] = {}
    for position, token in enumerate(caption):
        positions[token] = positions.get(token, 0) | 1 << position
    return positions


def _longest_common(caption: Caption, length: int, positions: dict[Hashable, int]) -> int:
    """Return the length of the longest common subsequence.

    Bit-parallel (Hyyrö 2004): a number holds a row of the table, and its bits 0 mark where the row increases.
    """
    row = (1 << length) - 1
    mask = row
    for token in caption:
        matches = row & positions.get(token, 0)
        row = (row + matches | row - matches) & mask
    return length - row.bit_count()
