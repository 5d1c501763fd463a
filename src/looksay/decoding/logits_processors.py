"""Logits processors: functions that forbid tokens at a step by setting their log-probabilities to minus infinity.

A processor receives the log-probabilities of the next token (rows, vocab) and the tokens decoded so far
(rows, steps), and changes the former in place. ``<start>``, which opens every caption, is not among the tokens.
Functions with more arguments are bound to them with `functools.partial`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import S, Step, Tokens
from looksay.errors import OptionError
from looksay.text.tokenizer import tokenize
from looksay.text.vocabulary import SPECIAL, Vocabulary

LogProbs = NDArray[np.float32]
LogitsProcessor = Callable[[LogProbs, Tokens], None]
ProcessedStep = Callable[[Tokens, S], tuple[LogProbs, S]]
"""A `Step` that receives all tokens decoded so far (rows, steps), and applies logits processors."""

# Articles, prepositions and conjunctions that need a word after them. ("outside" and "up" also end captions, as
# adverbs; 1.3 % of Flickr8k's human captions end in one of these, as in "he puts his helmet on".)
DANGLING = frozenset(
    "a an the of in on at by with from to into onto over under through across near behind beside between against along "
    "among around before after during for above below beneath towards toward upon within without off "
    "and or but nor as while that which who because if than".split()
)

FUNCTION_WORDS = DANGLING | frozenset(
    "is are be being has have it its he she his her him they their them there this other another each some one two "
    "three 's".split()
)
"""Words that an English caption may repeat."""

NUMERALS = frozenset("two three four five six seven eight nine ten several many few both".split())
"""Words that need a plural."""

_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot", "teeth": "tooth",
    "geese": "goose", "mice": "mouse", "wolves": "wolf", "calves": "calf", "shelves": "shelf", "leaves": "leaf",
    "knives": "knife", "loaves": "loaf",
}  # fmt: skip
_SINGULARS = frozenset(
    "as has is its his this us bus gas lens news plus sports canvas series grass glass dress".split()
)

VOWEL = re.compile(r"a|e(?!u|we)|i|o(?!ne\b)|u(?!ni|ku|s[eu]|ti)|hour|hones|heir")
"""The start of a word that follows *an*."""


def process(step: Step[S], processors: Sequence[LogitsProcessor], options: DecodingOptions) -> ProcessedStep[S]:
    """Apply logits processors and the maximum length to a step."""

    def processed_step(tokens: Tokens, state: S) -> tuple[LogProbs, S]:
        last = tokens[:, -1] if tokens.shape[1] else np.full(len(tokens), Vocabulary.start)
        raw, state = step(last, state)
        log_probs = raw.copy()
        end_log_probs = log_probs[:, Vocabulary.end].copy()
        for processor in processors:
            processor(log_probs, tokens)
        # At the maximum length, or where all tokens are forbidden, a caption can only end.
        must_end = (log_probs.max(axis=1) == -np.inf) | (tokens.shape[1] == options.max_length)
        log_probs[must_end] = -np.inf
        log_probs[must_end, Vocabulary.end] = end_log_probs[must_end]
        return log_probs, state

    return processed_step


def from_options(options: DecodingOptions, vocabulary: Vocabulary) -> list[LogitsProcessor]:
    """Return the logits processors that the options need; those that concern words leave the prefix as it is.

    Raises an `OptionError` if the prefix has a word outside the vocabulary, or is longer than ``max_length``.
    """
    prefix = encode_words("prefix", options.prefix, vocabulary)
    if len(prefix) > options.max_length:
        raise OptionError(f"prefix {options.prefix!r} is too long: use at most max_length ({options.max_length}) words")
    bad_words = [vocabulary.encode(text) for text in options.bad_words]
    single = [tokens[0] for tokens in bad_words if len(tokens) == 1]
    processors: list[LogitsProcessor] = [partial(forbid, np.array([vocabulary.start, vocabulary.unk, *single]))]
    processors += [partial(forbid_phrase, np.array(tokens)) for tokens in bad_words if len(tokens) > 1]
    if options.no_repeat_ngram_size:
        processors.append(partial(no_repeat_ngram, options.no_repeat_ngram_size))
    if options.no_repeat_words:
        processors.append(no_repeat_words(vocabulary))
    if options.agreement:
        processors.append(agreeing_article(vocabulary))
    dangling = sorted(vocabulary.known_ids(DANGLING)) if options.no_dangling else []
    if dangling:
        processors.append(partial(no_last_word, dangling, options.max_length))
    if prefix:
        processors = [partial(force_prefix, prefix), *(partial(skip_steps, len(prefix), one) for one in processors)]
    if dangling:
        processors.append(partial(no_end_after, dangling))
    if options.min_length:
        processors.append(partial(min_length, options.min_length))
    return processors


def encode_words(option: str, text: str, vocabulary: Vocabulary) -> list[int]:
    """Return the token ids of an option's text; raise an `OptionError` for a word outside the vocabulary."""
    ids = vocabulary.encode(text)
    if vocabulary.unk in ids:
        word = tokenize(text)[ids.index(vocabulary.unk)]
        raise OptionError(f"{option}: {word!r} is not in the model's vocabulary; use another word")
    return ids


def forbid(ids: Sequence[int] | Tokens, log_probs: LogProbs, tokens: Tokens) -> None:  # noqa: ARG001
    """Forbid tokens."""
    log_probs[:, ids] = -np.inf


def forbid_phrase(ids: Tokens, log_probs: LogProbs, tokens: Tokens) -> None:
    """Forbid the last token of a phrase (tokens,) after the others."""
    *others, last = ids.tolist()
    if tokens.shape[1] >= len(others):
        is_next = (tokens[:, -len(others) :] == others).all(axis=1)
        log_probs[is_next, last] = -np.inf


def no_last_word(ids: Sequence[int], max_length: int, log_probs: LogProbs, tokens: Tokens) -> None:
    """Forbid certain tokens where only ``<end>`` could follow them."""
    if tokens.shape[1] == max_length - 1:
        log_probs[:, ids] = -np.inf


def min_length(length: int, log_probs: LogProbs, tokens: Tokens) -> None:
    """Forbid ``<end>`` before `length` tokens."""
    if tokens.shape[1] < length:
        log_probs[:, Vocabulary.end] = -np.inf


def no_end_after(ids: Sequence[int], log_probs: LogProbs, tokens: Tokens) -> None:
    """Forbid ``<end>`` after certain tokens."""
    if tokens.shape[1]:
        log_probs[np.isin(tokens[:, -1], ids), Vocabulary.end] = -np.inf


def no_repeat_ngram(size: int, log_probs: LogProbs, tokens: Tokens) -> None:
    """Forbid repeated n-grams of a size (Paulus et al. 2018)."""
    known = size - 1  # tokens of an n-gram that are decoded
    starts = tokens.shape[1] - known
    if starts > 0:
        is_repeated = np.ones((len(tokens), starts), dtype=bool)
        for place in range(known):
            is_repeated &= tokens[:, place : place + starts] == tokens[:, starts + place, None]
        row, start = np.nonzero(is_repeated)
        log_probs[row, tokens[row, start + known]] = -np.inf


@cache
def no_repeat_words(vocabulary: Vocabulary) -> LogitsProcessor:
    """Return a processor that forbids to repeat a word, also in the other number, except function words."""
    is_unique = np.ones(len(vocabulary), dtype=bool)
    is_unique[vocabulary.known_ids(FUNCTION_WORDS)] = False
    other_number = np.arange(len(vocabulary))
    for plural, singular in plurals(vocabulary).items():
        other_number[[plural, singular]] = singular, plural

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        row, step = np.nonzero(is_unique[tokens])
        log_probs[row, tokens[row, step]] = -np.inf
        log_probs[row, other_number[tokens[row, step]]] = -np.inf

    return processor


def force_prefix(ids: Sequence[int], log_probs: LogProbs, tokens: Tokens) -> None:
    """Forbid every token but that of the prefix, as long as it lasts."""
    step = tokens.shape[1]
    if step < len(ids):
        log_probs[:, np.arange(log_probs.shape[1]) != ids[step]] = -np.inf


def skip_steps(steps: int, processor: LogitsProcessor, log_probs: LogProbs, tokens: Tokens) -> None:
    """Apply a processor after a number of steps."""
    if tokens.shape[1] >= steps:
        processor(log_probs, tokens)


@cache
def agreeing_article(vocabulary: Vocabulary) -> LogitsProcessor:
    """Return a processor that forbids "a" before vowels, "an" before consonants, and both before plurals.

    The form of a word and the other words of the vocabulary show whether it is a plural.
    """
    words = set(range(len(SPECIAL), len(vocabulary)))
    vowels, many = {token for token in words if VOWEL.match(vocabulary.tokens[token])}, plurals(vocabulary).keys()
    unfit = {"a": vowels | many, "an": words - vowels | many}
    forbidden = {
        token: np.array(sorted(ids), dtype=np.intp)
        for article, ids in unfit.items()
        for token in vocabulary.known_ids([article])
    }
    is_article = np.zeros(len(vocabulary), dtype=bool)
    is_article[list(forbidden)] = True

    def processor(log_probs: LogProbs, tokens: Tokens) -> None:
        if tokens.shape[1]:
            last = tokens[:, -1]
            for row in np.flatnonzero(is_article[last]):
                log_probs[row, forbidden[last[row]]] = -np.inf

    return processor


@cache
def plurals(vocabulary: Vocabulary) -> dict[int, int]:
    """Return the ids of plurals with those of their singulars, where both are in the vocabulary.

    They are irregular ones, and words in -s whose form without it is a word too: also verbs, as in "rides".
    """
    ids = {word: token for token, word in enumerate(vocabulary.tokens)}
    pairs = dict(_IRREGULAR)
    for word in ids:
        if word.endswith("s") and word not in _SINGULARS:
            stem = next((stem for stem in (word[:-1], f"{word[:-3]}y", word[:-2]) if stem in ids), "")
            pairs[word] = stem
    return {ids[plural]: ids[singular] for plural, singular in pairs.items() if plural in ids and singular in ids}
