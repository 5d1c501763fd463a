"""Diversity, form and word precision of captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise

from looksay.decoding.logits_processors import DANGLING

_Tokens = Sequence[str]
_SAMPLE = 10  # captions whose form is judged
MEANING = {
    "mean length": "words per caption",
    "distinct-1": "different words divided by all words (Li et al. 2016), 0 to 1",
    "distinct-2": "different pairs of words divided by all pairs, 0 to 1",
    "distinct words": "different words used",
    "words never used": "words that occur in the references of two images or more, and in no caption",
    "unique captions %": "different captions",
    "dangling endings %": "captions that end in an article, a preposition or a conjunction",
    "repeated words %": "captions with the same word twice in a row",
    "agreement errors %": "English captions with an article or a number that does not agree, as in 'a mountains'",
    "word precision %": "words that a reference of the image has, each weighted by its rarity",
    "novel captions %": "captions that do not occur, word for word, in the data set's train split",
    "word accuracy %": "how often the most probable next word is that of the reference, given the words before it",
    "perplexity": "exp of the mean negative log-probability of reference words, given the words before them",
}
"""Meaning of the measures of `diversity`, and of those that `looksay.evaluation` adds for a model."""


def diversity(
    captions: Sequence[_Tokens], references: Sequence[Sequence[_Tokens]], training: Iterable[_Tokens] = ()
) -> dict[str, float]:
    """Measure the diversity and form of captions; for the measures see `MEANING`.

    `references` holds those of the image of each caption, and `training` the captions of the train split, for
    `novel captions %`, which is left out without them. `agreement errors %` needs LemmInflect, from the extra
    ``metrics``, and `word precision %` two images or more.
    """
    captions = [tuple(caption) for caption in captions]

    def percentage(condition: Callable[[_Tokens], bool]) -> float:
        return 100 * sum(map(condition, captions)) / len(captions)

    words = Counter(word for caption in captions for word in caption)
    pairs = Counter(pair for caption in captions for pair in pairwise(caption))
    known = {tuple(caption) for caption in training}
    image_counts = Counter(word for image in references for word in {word for caption in image for word in caption})
    measures = {
        "mean length": words.total() / len(captions),
        "distinct-1": len(words) / max(1, words.total()),
        "distinct-2": len(pairs) / max(1, pairs.total()),
        "distinct words": len(words),
        "words never used": sum(count >= 2 and word not in words for word, count in image_counts.items()),
        "unique captions %": 100 * len(set(captions)) / len(captions),
        "dangling endings %": percentage(lambda caption: bool(caption) and caption[-1] in DANGLING),
        "repeated words %": percentage(lambda caption: any(a == b for a, b in pairwise(caption))),
    }
    if find_spec("lemminflect"):
        from looksay.metrics.agreement import agreement_errors

        measures["agreement errors %"] = percentage(lambda caption: bool(agreement_errors(caption)))
    if len(references) > 1:  # of a single image each word has the weight 0
        from looksay.metrics.word_precision import WordPrecision

        precisions = WordPrecision(references).image_scores(captions)
        measures["word precision %"] = 100 * sum(precisions) / len(precisions)
    if known:
        measures["novel captions %"] = percentage(lambda caption: caption not in known)
    return measures


def weaknesses(measures: Mapping[str, float], count: int) -> Iterator[str]:
    """Yield what is wrong with the form of `count` captions, if these are enough, and what helps.

    `measures` are those of `diversity`; human captions have no weakness.
    """
    if count < _SAMPLE:
        return
    dangling, repeated, unique = (
        measures[f"{name} %"] for name in ("dangling endings", "repeated words", "unique captions")
    )
    training = "train with more images or more epochs"
    if dangling > 10:
        yield f"{dangling:.0f} % of the captions end abruptly: decode with no_dangling, or {training}"
    if repeated > 5:
        yield f"{repeated:.0f} % of the captions repeat a word, as those of an untrained model do: {training}"
    if unique < 20:
        yield f"only {unique:.0f} % of the captions are different: {training}"


def overused_and_underused_words(
    captions: Sequence[_Tokens], references: Sequence[Sequence[_Tokens]], limit: int
) -> tuple[list[tuple[str, float, float]], list[tuple[str, float, float]]]:
    """Return the words that are more, and less, frequent in captions than in references: at most `limit` each.

    Each word has the percentages of captions and of references that contain it; the largest difference comes first.
    """
    own = Counter(word for caption in captions for word in set(caption))
    human = Counter(word for image in references for caption in image for word in set(caption))
    count = sum(map(len, references))
    rates = [(word, 100 * own[word] / len(captions), 100 * human[word] / count) for word in own.keys() | human.keys()]
    rates.sort(key=lambda row: (row[2] - row[1], row[0]))
    overused = [row for row in rates[:limit] if row[1] > row[2]]
    return overused, [row for row in rates[: -limit - 1 : -1] if row[2] > row[1]]
