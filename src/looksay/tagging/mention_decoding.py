"""Re-decoding of captions that lack a confidently recognised object."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.decode import decode, forced_tokens
from looksay.decoding.logits_processors import fitting_article, forbid, from_options, process
from looksay.decoding.options import MAX_FORCE_WORDS, DecodingOptions
from looksay.decoding.state import Hypothesis, S, Step
from looksay.tagging.concepts import ConceptTable
from looksay.text.vocabulary import Vocabulary


def decode_with_mentions(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    vocabulary: Vocabulary,
    table: ConceptTable,
    probabilities: NDArray[np.float64],
) -> list[list[Hypothesis]]:
    """Decode captions, and decode those again that lack a concept which the encoder recognises with confidence.

    The second decoding is a constrained beam search for captions with these concepts and without those that they
    exclude (`ConceptTable.missing`, by their probabilities (images, concepts)); sampling and ``options.tags`` turn it
    off. Rare words are decoded only where they are required. See `looksay.decoding.decode` for the rest.
    """
    forced = forced_tokens(options, vocabulary)
    required = {*forced, *vocabulary.encode(options.prefix)}
    rare_tokens = set(vocabulary.known_ids(table.rare_words)) - required
    captions = decode(step, state, options, vocabulary, [forbid(rare_tokens)])
    if not options.tags or options.temperature:
        return captions
    # Two thirds of the beams give nearly the same captions in less time.
    num_beams = max(options.num_captions, math.ceil(2 / 3 * options.num_beams))
    fewer_beams = replace(options, num_beams=num_beams, num_beam_groups=1)
    processors = [*from_options(options, vocabulary), fitting_article(sorted(rare_tokens), vocabulary)]
    for image, hypotheses in enumerate(captions):
        names, excluded = table.missing(probabilities[image], vocabulary.to_tokens(hypotheses[0].tokens))
        concepts = [tokens for words in names if (tokens := vocabulary.known_ids(words))]
        concepts = concepts[: MAX_FORCE_WORDS - len(forced)]
        if concepts:
            from looksay.decoding.constrained_beam_search import constrained_beam_search

            mentioned = {token for tokens in concepts for token in tokens}
            forbidden = (set(vocabulary.known_ids(excluded)) | rare_tokens - mentioned) - required
            processed = process(step, [*processors, forbid(forbidden)], options)
            constraints = [*([token] for token in forced), *concepts]
            mentions = constrained_beam_search(processed, state.take(np.array([image])), fewer_beams, constraints)
            captions[image] = mentions or hypotheses
    return captions
