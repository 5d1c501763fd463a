"""Logits processors: functions that forbid tokens at a step by setting their log-probabilities to minus infinity.

A processor receives the log-probabilities of the next token (rows, vocab) and the tokens decoded so far
(rows, steps), and changes the former in place. ``<start>``, which opens every caption, is not among the tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import S, Step, Tokens
from looksay.errors import OptionError
from looksay.text.stopwords import DANGLING, FUNCTION_WORDS
from looksay.text.tokenizer import tokenize
from looksay.text.vocabulary import Vocabulary

LogProbs = NDArray[np.float64]
LogitsProcessor = Callable[[LogProbs, Tokens], None]
ProcessedStep = Callable[[Tokens, S, Tokens], tuple[LogProbs, S]]
"""A `Step` that also receives the tokens decoded so far (rows, steps), and applies logits processors."""

_VOWEL = re.compile(r"[aeio]|u(?!ni|ku)")


def process(
    step: Step[S], processors: Sequence[LogitsProcessor], options: DecodingOptions, end: int
) -> ProcessedStep[S]:
    """Apply logits processors and the maximum length to a step."""

    def processed_step(last: Tokens, state: S, tokens: Tokens) -> tuple[LogProbs, S]:
        raw, state = step(last, state)
        log_probs = raw.astype(np.float64)
        end_log_probs = log_probs[:, end].copy()
        for processor in processors:
            processor(log_probs, tokens)
        # At the maximum length, or where all tokens are forbidden, a caption can only end.
        must_end = ~np.isfinite(log_probs).any(axis=1) | (tokens.shape[1] == options.max_length)
        log_probs[must_end] = -np.inf
        log_probs[must_end, end] = end_log_probs[must_end]
        return log_probs, state

    return processed_step


def from_options(options: DecodingOptions, vocabulary: Vocabulary) -> list[LogitsProcessor]:
    """Return the processors of decoding options; ``<start>`` and ``<unk>`` are always forbidden.

    Raises
    ------
    OptionError
        If the prefix has a word outside the vocabulary, or is longer than ``max_length``.
    """
    return list(_from_options(options, vocabulary))


def _from_options(options: DecodingOptions, vocabulary: Vocabulary) -> Iterator[LogitsProcessor]:
    prefix = encode_words("prefix", options.prefix, vocabulary)
    if len(prefix) > options.max_length:
        raise OptionError(f"prefix {options.prefix!r} is too long: use at most max_length ({options.max_length}) words")
    if prefix:
        yield force_prefix(prefix)
    bad_words = [token for text in options.bad_words for token in vocabulary.encode(text)]
    yield skip_steps(len(prefix), forbid_tokens([vocabulary.start, vocabulary.unk, *bad_words]))
    if options.no_repeat_ngram_size:
        yield skip_steps(len(prefix), no_repeat_ngram(options.no_repeat_ngram_size))
    if options.no_repeat_words:
        function_words = vocabulary.known_ids(FUNCTION_WORDS)
        yield skip_steps(len(prefix), no_repeat_tokens(function_words, len(vocabulary)))
    if options.no_dangling:
        yield no_end_after(sorted(vocabulary.known_ids(DANGLING)), vocabulary.end)
    if options.min_length:
        yield min_length(options.min_length, vocabulary.end)


def encode_words(option: str, text: str, vocabulary: Vocabulary) -> list[int]:
    """Return the token ids of an option's text; raise an `OptionError` for a word outside the vocabulary."""
    ids = vocabulary.encode(text)
    if vocabulary.unk in ids:
        word = tokenize(text)[ids.index(vocabulary.unk)]
        raise OptionError(f"{option}: {word!r} is not in the model's vocabulary; use another word")
    return ids


def forbid_tokens(ids: Sequence[int]) -> LogitsProcessor:
    """Forbid tokens."""
    forbidden = np.array(ids, dtype=np.intp)

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:  # noqa: ARG001
        log_probs[:, forbidden] = -np.inf

    return processor


def min_length(length: int, end: int) -> LogitsProcessor:
    """Forbid ``<end>`` before `length` tokens."""

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        if tokens.shape[1] < length:
            log_probs[:, end] = -np.inf

    return processor


def no_end_after(ids: Sequence[int], end: int) -> LogitsProcessor:
    """Forbid ``<end>`` after certain tokens."""

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        if tokens.shape[1]:
            log_probs[np.isin(tokens[:, -1], ids), end] = -np.inf

    return processor


def fitting_article(ids: Sequence[int], vocabulary: Vocabulary) -> LogitsProcessor:
    """Forbid "a" before those of `ids` that start with a vowel, and "an" before the others.

    For rare words, whose article the model has not learned from captions.
    """
    vowels = {token for token in ids if _VOWEL.match(vocabulary.tokens[token])}
    unfit = {"a": sorted(vowels), "an": sorted(set(ids) - vowels)}
    rules = [(vocabulary.known_ids([article]), np.array(words, dtype=np.intp)) for article, words in unfit.items()]

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        if tokens.shape[1]:
            for article, forbidden in rules:
                log_probs[np.ix_(np.isin(tokens[:, -1], article), forbidden)] = -np.inf

    return processor


def no_repeat_ngram(size: int) -> LogitsProcessor:
    """Forbid repeated n-grams of a size (Paulus et al. 2018)."""

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        steps = tokens.shape[1]
        if steps < size:
            return
        ngrams = tokens[:, np.arange(steps - size + 1)[:, None] + np.arange(size)]  # (rows, ngrams, size)
        tail = tokens[:, steps - size + 1 :]
        row, ngram = np.nonzero((ngrams[:, :, :-1] == tail[:, None, :]).all(axis=2))
        log_probs[row, ngrams[row, ngram, -1]] = -np.inf

    return processor


def no_repeat_tokens(repeatable: Sequence[int], vocabulary_size: int) -> LogitsProcessor:
    """Forbid repeated tokens, except `repeatable` ones."""
    is_unique = np.ones(vocabulary_size, dtype=bool)
    is_unique[list(repeatable)] = False

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        row, step = np.nonzero(is_unique[tokens])
        log_probs[row, tokens[row, step]] = -np.inf

    return processor


def force_prefix(ids: Sequence[int]) -> LogitsProcessor:
    """Forbid every token but that of the prefix, as long as it lasts."""

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        step = tokens.shape[1]
        if step < len(ids):
            log_probs[:, np.arange(log_probs.shape[1]) != ids[step]] = -np.inf

    return processor


def skip_steps(steps: int, processor: LogitsProcessor) -> LogitsProcessor:
    """Apply a processor after a number of steps."""

    def later_processor(log_probs: LogProbs, tokens: Tokens) -> None:
        if tokens.shape[1] >= steps:
            processor(log_probs, tokens)

    return later_processor
