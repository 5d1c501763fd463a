"""The choice of a decoding strategy from the options."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from looksay.decoding.beam_search import beam_search
from looksay.decoding.constrained_beam_search import constrained_beam_search
from looksay.decoding.greedy_search import greedy_search
from looksay.decoding.hypothesis import Hypothesis
from looksay.decoding.logits_processors import LogitsProcessor, encode_words, from_options, process
from looksay.decoding.options import MAX_FORCE_WORDS, DecodingOptions
from looksay.decoding.sampling import sample
from looksay.decoding.state import S, Step
from looksay.errors import require
from looksay.text.vocabulary import Vocabulary


def decode(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    vocabulary: Vocabulary,
    processors: Sequence[LogitsProcessor] = (),
) -> list[list[Hypothesis]]:
    """Decode captions of a batch of images.

    Parameters
    ----------
    step : callable
        See `looksay.decoding.state`.
    state : State
        The decoder's state before the first token: one row for each image.
    options : DecodingOptions
    vocabulary : Vocabulary
        That of the model.
    processors : sequence of LogitsProcessor
        Logits processors besides those of the options.

    Returns
    -------
    list of list of Hypothesis
        For each image, at most ``options.num_captions`` captions, the best first.

    Raises
    ------
    OptionError
        If the prefix or force_words cannot be part of a caption.
    """
    force_words = forced_tokens(options, vocabulary)
    processed = process(step, [*from_options(options, vocabulary), *processors], options, vocabulary.end)
    start, end = vocabulary.start, vocabulary.end
    if force_words:
        constraints = [[token] for token in force_words]
        images = [state.take(np.array([image])) for image in range(len(state))]
        captions = [
            constrained_beam_search(processed, image, options, constraints, start=start, end=end) for image in images
        ]
        require(
            all(captions), f"no caption contains {', '.join(options.force_words)} with the other options: use fewer"
        )
        return captions
    if options.temperature:
        return sample(processed, state, options, start=start, end=end)
    search = greedy_search if options.num_beams == 1 else beam_search
    return search(processed, state, options, start=start, end=end)


def forced_tokens(options: DecodingOptions, vocabulary: Vocabulary) -> list[int]:
    """Return the ids of ``options.force_words``, each once.

    Raises
    ------
    OptionError
        If a word is outside the vocabulary or among ``bad_words``, or if the words are too many for constrained beam
        search or for ``max_length``.
    """
    tokens = dict.fromkeys(
        token for text in options.force_words for token in encode_words("force_words", text, vocabulary)
    )
    prefix = vocabulary.encode(options.prefix)
    bad_words = {token for text in options.bad_words for token in vocabulary.encode(text)} - set(prefix)
    words = ", ".join(vocabulary.to_tokens(token for token in tokens if token in bad_words))
    require(not words, f"force_words and bad_words both have {words}: leave it out of one of them")
    require(len(tokens) <= MAX_FORCE_WORDS, f"force_words has {len(tokens)} words: use at most {MAX_FORCE_WORDS}")
    least = len(prefix) + len(tokens.keys() - set(prefix))
    require(
        least <= options.max_length,
        f"max_length {options.max_length} is too short for force_words: use {least} or more",
    )
    return list(tokens)
