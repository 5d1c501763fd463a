"""What captions may not say: small rules that search obeys at every word.

A rule gets the log-probabilities of the next word (rows, words) and the words written so far (rows, steps), and sets
what is not allowed to minus infinity, in place. Rules know ids, not words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.options import DecodingOptions
from looksay.errors import OptionError
from looksay.text.stopwords import DANGLING, SMALL
from looksay.text.tokenizer import tokenize
from looksay.text.vocabulary import Vocabulary

LogProbs = NDArray[np.float64]
Written = NDArray[np.int64]
LogitsProcessor = Callable[[LogProbs, Written], None]

_VOWEL = re.compile(r"[aeio]|u(?!ni|ku)")


def of(options: DecodingOptions, vocabulary: Vocabulary) -> list[LogitsProcessor]:
    """Return the rules that search options ask for; ``<start>`` and ``<unk>`` are never said.

    Raises
    ------
    OptionError
        If a forced beginning has a word that the model does not know, or is too long.
    """
    return list(_asked_for(options, vocabulary))


def _asked_for(options: DecodingOptions, vocabulary: Vocabulary) -> Iterator[LogitsProcessor]:
    prefix = _known(options, vocabulary)
    if prefix:
        yield beginning(prefix)
    bad_words = [word for text in options.bad_words for word in vocabulary.encode(text)]
    yield after(len(prefix), never([vocabulary.start, vocabulary.unk, *bad_words]))
    if options.no_repeat_ngram_size:
        yield after(len(prefix), no_repeat(options.no_repeat_ngram_size))
    if options.no_repeat_words:
        yield after(len(prefix), no_repeat_words(vocabulary.known_ids(SMALL), len(vocabulary)))
    if options.no_dangling:
        dangling = set(vocabulary.encode(" ".join(DANGLING))) - {vocabulary.unk}
        yield not_after(sorted(dangling), vocabulary.end)
    if options.min_length:
        yield at_least(options.min_length, vocabulary.end)


def _known(options: DecodingOptions, vocabulary: Vocabulary) -> list[int]:
    ids = vocabulary.encode(options.prefix) if options.prefix else []
    if vocabulary.unk in ids:
        word = tokenize(options.prefix)[ids.index(vocabulary.unk)]
        raise OptionError(f"prefix is {options.prefix!r}; the model does not know {word!r}")
    if len(ids) > options.max_length:
        raise OptionError(f"prefix is {options.prefix!r}; it is longer than max_length ({options.max_length})")
    return ids


def never(ids: Sequence[int]) -> LogitsProcessor:
    """Never say these words."""
    banned = np.array(ids, dtype=np.intp)

    def rule(log_probs: LogProbs, written: Written) -> None:  # noqa: ARG001
        log_probs[:, banned] = -np.inf

    return rule


def at_least(words: int, end: int) -> LogitsProcessor:
    """Do not end before so many words."""

    def rule(log_probs: LogProbs, written: Written) -> None:
        if written.shape[1] < words:
            log_probs[:, end] = -np.inf

    return rule


def not_after(ids: Sequence[int], end: int) -> LogitsProcessor:
    """Do not end after these words."""

    def rule(log_probs: LogProbs, written: Written) -> None:
        if written.shape[1]:
            log_probs[np.isin(written[:, -1], ids), end] = -np.inf

    return rule


def article(ids: Sequence[int], vocabulary: Vocabulary) -> LogitsProcessor:
    """Say "an" before those of some words that begin with a vowel, and "a" before the others.

    For words that the model has not learned from captions, and so says after either.
    """
    vowels = {each for each in ids if _VOWEL.match(vocabulary.tokens[each])}
    unfit = {"a": sorted(vowels), "an": sorted(set(ids) - vowels)}
    after = [(vocabulary.known_ids([name]), np.array(banned, dtype=np.intp)) for name, banned in unfit.items()]

    def rule(log_probs: LogProbs, written: Written) -> None:
        if written.shape[1]:
            for known, banned in after:
                log_probs[np.ix_(np.isin(written[:, -1], known), banned)] = -np.inf

    return rule


def no_repeat(length: int) -> LogitsProcessor:
    """Never say a run of so many words twice (Paulus et al. 2018)."""

    def rule(log_probs: LogProbs, written: Written) -> None:
        steps = written.shape[1]
        if steps < length:
            return
        runs = written[:, np.arange(steps - length + 1)[:, None] + np.arange(length)]  # (rows, runs, length)
        tail = written[:, steps - length + 1 :]
        row, run = np.nonzero((runs[:, :, :-1] == tail[:, None, :]).all(axis=2))
        log_probs[row, runs[row, run, -1]] = -np.inf

    return rule


def no_repeat_words(small: Sequence[int], vocabulary: int) -> LogitsProcessor:
    """Say no word twice, of so many, but small ones."""
    single = np.ones(vocabulary, dtype=bool)
    single[list(small)] = False

    def rule(log_probs: LogProbs, written: Written) -> None:
        row, step = np.nonzero(single[written])
        log_probs[row, written[row, step]] = -np.inf

    return rule


def beginning(ids: Sequence[int]) -> LogitsProcessor:
    """Begin every caption with these words."""

    def rule(log_probs: LogProbs, written: Written) -> None:
        step = written.shape[1]
        if step < len(ids):
            log_probs[:, np.arange(log_probs.shape[1]) != ids[step]] = -np.inf

    return rule


def after(words: int, rule: LogitsProcessor) -> LogitsProcessor:
    """Obey a rule once so many words are written."""

    def later(log_probs: LogProbs, written: Written) -> None:
        if written.shape[1] >= words:
            rule(log_probs, written)

    return later
