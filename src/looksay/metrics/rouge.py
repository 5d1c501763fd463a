"""ROUGE-L (Lin 2004), equal to coco-caption's."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from looksay.metrics.ngrams import Caption

_BETA = 1.2
_NOTHING = ("",)  # coco-caption splits an empty caption into one empty word


class RougeL:
    """ROUGE-L against a fixed set of references.

    Parameters
    ----------
    references : for each image, its references, each a sequence of words

    Notes
    -----
    As ``pycocoevalcap`` 1.2 computes it: the longest common subsequence with each reference gives a precision and a
    recall; the largest of each, over the references *separately*, give an F with beta 1.2.
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        self._references = [
            [(max(1, len(reference)), _places(reference or _NOTHING)) for reference in others] for others in references
        ]

    def image_scores(self, predictions: Sequence[Caption]) -> list[float]:
        """Score one caption for each image, in the order of the references; 0 to 1."""
        return [self._f(prediction, others) for prediction, others in zip(predictions, self._references, strict=True)]

    def _f(self, words: Caption, references: Sequence[tuple[int, dict[Hashable, int]]]) -> float:
        words = words or _NOTHING
        common = [_longest_common(words, length, places) for length, places in references]
        precision = max(common) / len(words)
        recall = max(shared / length for shared, (length, _) in zip(common, references, strict=True))
        if not precision * recall:
            return 0.0
        return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _places(words: Caption) -> dict[Hashable, int]:
    """Return for each word the places where it stands, as the bits of a number."""
    places: dict[Hashable, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    return places


def _longest_common(words: Caption, length: int, places: dict[Hashable, int]) -> int:
    """Return the length of the longest common subsequence, a row of the table at a time in one number's bits.

    The bit-parallel form of Hyyrö (2004): a bit that is 0 marks a step of the table's last row.
    """
    row = (1 << length) - 1
    mask = row
    for word in words:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & mask
    return length - row.bit_count()
