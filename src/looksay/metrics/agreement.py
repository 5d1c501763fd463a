"""Number and article agreement of English captions: ``a mountains``, ``an dog`` and ``men is`` are errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from looksay.decoding.logits_processors import DANGLING, NUMERALS, VOWEL

_ADJECTIVES = frozenset(
    "big large small little tall long short old young new empty red orange yellow green blue purple pink brown black "
    "white grey gray dark light colorful colourful other different wooden metal stuffed".split()
)
_VERBS = frozenset("is are was were has have".split())
_ARTICLES = {"a": False, "an": True}  # whether a vowel follows
_PLURAL_ONLY = NUMERALS | {"these", "those"}
_JOINED = frozenset("and or of with in on at by from group pair couple bunch herd pack team crowd".split())


def agreement_errors(caption: Sequence[str]) -> list[str]:
    """Return the phrases of a caption (tokens) in which number or article do not agree.

    It knows the commonest errors of captioners: an article before a plural or before the wrong sound, a numeral before
    a singular, and *is* or *are* after a first noun of the other number. A noun before another noun has no number
    ("a sports car", "two tone shirt"), and a word that may be something else is given the benefit of the doubt.

    It needs LemmInflect, from the extra ``metrics``, which knows the forms of words.
    """
    errors = []
    for place, word in enumerate(caption[:-1]):
        noun = place + 1
        sounds_open = VOWEL.match(caption[noun]) is not None
        if word in _ARTICLES and _ARTICLES[word] != sounds_open and caption[noun].isalpha() and len(caption[noun]) > 1:
            errors.append(f"{word} {caption[noun]}")
            continue
        while noun < len(caption) - 1 and caption[noun] in _ADJECTIVES:
            noun += 1
        is_plural = _number(caption[noun], noun > place + 1) if _ends_phrase(caption, noun) else None
        if (word in _ARTICLES and is_plural) or (word in _PLURAL_ONLY and is_plural is False):
            errors.append(" ".join(caption[place : noun + 1]))
        elif caption[noun] in ("is", "are") and not any(w in _JOINED or w.endswith("ing") for w in caption[:place]):
            is_plural = _number(word)
            if is_plural is not None and is_plural != (caption[noun] == "are"):
                errors.append(f"{word} {caption[noun]}")
    return errors


def _ends_phrase(caption: Sequence[str], place: int) -> bool:
    """Return whether a noun phrase ends with a word: nothing follows, or a function word, a verb or a participle."""
    if place + 1 == len(caption):
        return True
    following = caption[place + 1]
    return following in DANGLING | _VERBS or (following.endswith("ing") and following != "building")


@cache
def _number(word: str, after_adjective: bool = False) -> bool | None:
    """Return whether a word is a plural noun, a singular one (false), or neither for sure.

    After an adjective that is a noun too, as in "a dog in blue leaps", it may be a verb.
    """
    import lemminflect

    lemmas = lemminflect.getAllLemmas(word)
    nouns = lemmas.get("NOUN", ())
    if not nouns or "ADJ" in lemmas or "ADV" in lemmas or (after_adjective and "VERB" in lemmas and word not in nouns):
        return None
    plurals = lemminflect.getInflection(nouns[0], "NNS", inflect_oov=False)
    if word in nouns:
        return None if not plurals or word == plurals[0] or word.endswith("s") else False
    return True if word in plurals else None
