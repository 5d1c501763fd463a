"""The choice of a decoding strategy from the options."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from looksay.decoding.logits_processors import LogitsProcessor, encode_words, from_options, process
from looksay.decoding.options import MAX_BEAMS, MAX_FORCE_WORDS, DecodingOptions
from looksay.decoding.state import Hypothesis, Rescore, S, Step, keep_score, rank
from looksay.errors import require
from looksay.text.vocabulary import Vocabulary


def decode(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    vocabulary: Vocabulary,
    processors: Sequence[LogitsProcessor] = (),
    rescore: Rescore = keep_score,
) -> list[list[Hypothesis]]:
    """Decode captions of a batch of images: for each, at most ``options.num_captions``, the best first.

    The state has one row for each image; `processors` are applied besides those of the options. A search ranks the
    captions of all its beams by the scores that `rescore` gives; sampled captions are ranked by their probability. More
    captions than beams take a second, wider search: the best caption does not depend on their number. Raises an
    `OptionError` if the prefix or force_words cannot be part of a caption.
    """
    if options.temperature:
        return _candidates(step, state, options, vocabulary, processors)
    if options.num_captions > options.num_beams:
        beams = wider_beams(options)
        wider = replace(options, num_beams=beams, num_captions=min(beams, options.num_captions))
        searches = replace(options, num_captions=1), wider
        best, more = (decode(step, state, search, vocabulary, processors, rescore) for search in searches)
        return [first_of(one, others, options.num_captions) for (one, *_), others in zip(best, more, strict=True)]
    candidates = _candidates(step, state, replace(options, num_captions=options.num_beams), vocabulary, processors)
    return rescored(candidates, rescore, options.num_captions)


def _candidates(
    step: Step[S], state: S, options: DecodingOptions, vocabulary: Vocabulary, processors: Sequence[LogitsProcessor]
) -> list[list[Hypothesis]]:
    """Decode captions by the strategy of the options; each is imported at its first use."""
    force_words = forced_tokens(options, vocabulary)
    processed = process(step, [*from_options(options, vocabulary), *processors], options)
    if force_words:
        from looksay.decoding.constrained_beam_search import Constraints, constrained_beam_search

        constraints = Constraints([[token] for token in force_words])
        captions = constrained_beam_search(processed, state, options, [constraints] * len(state))
        words = ", ".join(options.force_words)
        require(all(captions), f"no caption contains {words} with the other options: use fewer")
        return captions
    if options.temperature or options.num_beams == 1:
        from looksay.decoding.sampling import greedy_search, sample

        return (sample if options.temperature else greedy_search)(processed, state, options)
    from looksay.decoding.beam_search import beam_search

    return beam_search(processed, state, options)


def rescored(candidates: Iterable[Iterable[Hypothesis]], rescore: Rescore, count: int) -> list[list[Hypothesis]]:
    """Return the `count` best captions of each image of a batch by their new scores."""
    return [rank((rescore(image, one) for one in own), count) for image, own in enumerate(candidates)]


def wider_beams(options: DecodingOptions) -> int:
    """Return a number of beams, a multiple of the groups, that gives ``num_captions`` captions."""
    groups = options.num_beam_groups
    return groups * min(math.ceil(max(options.num_beams, options.num_captions) / groups), MAX_BEAMS // groups)


def first_of(best: Hypothesis, others: Iterable[Hypothesis], count: int) -> list[Hypothesis]:
    """Return at most `count` different captions, `best` first."""
    return list({one.tokens: one for one in (best, *others)}.values())[:count]


def forced_tokens(options: DecodingOptions, vocabulary: Vocabulary) -> list[int]:
    """Return the ids of ``options.force_words``, each once.

    Raises an `OptionError` if a word is outside the vocabulary or among ``bad_words``, or if the words are too many
    for constrained beam search or for ``max_length``.
    """
    words = options.force_words
    tokens = dict.fromkeys(token for text in words for token in encode_words("force_words", text, vocabulary))
    prefix = vocabulary.encode(options.prefix)
    encoded = (vocabulary.encode(text) for text in options.bad_words)
    bad_words = {tokens[0] for tokens in encoded if len(tokens) == 1} - set(prefix)  # not phrases
    bad = ", ".join(vocabulary.to_tokens(token for token in tokens if token in bad_words))
    require(not bad, f"force_words and bad_words both have {bad}: leave it out of one of them")
    require(len(tokens) <= MAX_FORCE_WORDS, f"force_words has {len(tokens)} words: use at most {MAX_FORCE_WORDS}")
    least, most = len(prefix) + len(tokens.keys() - set(prefix)), options.max_length
    require(least <= most, f"max_length {most} is too short for force_words: use {least} or more")
    return list(tokens)
