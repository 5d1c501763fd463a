"""What captions are like, beside how right they are: their variety, and how they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from looksay.text.stopwords import DANGLING

_Words = Sequence[str]
MEANING = {
    "mean words": "words a caption",
    "distinct-1": "part of all words that are different (Li et al. 2016), 0 to 1",
    "distinct-2": "part of all pairs of words that are different, 0 to 1",
    "distinct words": "different words said at all",
    "words never said": "words that occur in the references of two images or more, and in no caption",
    "unique captions %": "different captions",
    "dangling endings %": "captions that end in an article, a preposition or a conjunction",
    "repeated words %": "captions in which a word stands twice in a row",
    "novel captions %": "captions that are not, word for word, in the data set's train split",
    "word accuracy %": "how often the likeliest next word is the one people wrote, after their words before it",
    "perplexity": "exp of the mean negative log-probability of people's words, after their words before them",
}
"""What the figures of `health`, and those that `looksay.evaluation` adds for a model, mean."""


def health(
    said: Sequence[_Words], references: Sequence[Sequence[_Words]], training: Iterable[_Words] = ()
) -> dict[str, float]:
    """Measure captions as texts.

    Parameters
    ----------
    said : sequence of captions, each a sequence of words
    references : for each caption, the references of its image
    training : captions of the train split
        To tell new captions from repeated ones; without them `novel captions %` is left out.

    Returns
    -------
    dict of str to float
        See `MEANING`.
    """
    captions = [tuple(words) for words in said]
    words = Counter(word for caption in captions for word in caption)
    pairs = Counter(pair for caption in captions for pair in pairwise(caption))
    seen = {tuple(caption) for caption in training}
    images: Counter[str] = Counter()
    for others in references:
        images.update({word for reference in others for word in reference})
    found = {
        "mean words": words.total() / len(captions),
        "distinct-1": len(words) / max(1, words.total()),
        "distinct-2": len(pairs) / max(1, pairs.total()),
        "distinct words": len(words),
        "words never said": sum(count >= 2 and word not in words for word, count in images.items()),
        "unique captions %": 100 * len(set(captions)) / len(captions),
        "dangling endings %": _percent(bool(caption) and caption[-1] in DANGLING for caption in captions),
        "repeated words %": _percent(any(a == b for a, b in pairwise(caption)) for caption in captions),
    }
    if seen:
        found["novel captions %"] = _percent(caption not in seen for caption in captions)
    return found


def _percent(answers: Iterable[bool]) -> float:
    listed = list(answers)
    return 100 * sum(listed) / len(listed)


def over_and_under_said(
    said: Sequence[_Words], references: Sequence[Sequence[_Words]], most: int
) -> tuple[list[tuple[str, float, float]], list[tuple[str, float, float]]]:
    """Return the words that captions have more often, and less often, than references.

    Returns
    -------
    tuple of two lists
        Each of at most `most` words with the percent of captions and of references that have it, the largest
        difference first.
    """
    own = Counter(word for caption in said for word in set(caption))
    other = Counter(word for others in references for reference in others for word in set(reference))
    count = sum(map(len, references))
    rates = [(word, 100 * own[word] / len(said), 100 * other[word] / count) for word in own.keys() | other.keys()]
    rates.sort(key=lambda row: (row[2] - row[1], row[0]))
    return (
        [row for row in rates[:most] if row[1] > row[2]],
        [row for row in rates[: -most - 1 : -1] if row[2] > row[1]],
    )
