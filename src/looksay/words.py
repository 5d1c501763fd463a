"""Caption text ↔ words, as coco-caption's tokeniser splits it.

coco-caption runs Stanford's PTBTokenizer 3.4.1 (``-preserveLines -lowerCase``) and drops a list of punctuation. The
rules below give the same words; ``tests/test_words.py`` holds them to the Java tokeniser's own output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SUFFIX = r"'(?:s|m|d|re|ve|ll)(?!\w)"  # dog|'s  we|'re
_PART = rf"[^\W_]\w*(?:(?!{_SUFFIX}|'n')'\w+)*"  # a word, or o'clock
# The first alternative that fits wins, so the order is part of the rule.
_TOKEN = re.compile(
    rf"""
      (?:[a-z]\.)+[a-z]\.?(?!\w)                  # u.s.  a.m.
    | \b(?:[a-z]|mr|mrs|ms|dr|jr|sr|st|rd|ave|co|vs)\.(?=\s*[\w,"])   # mr. potato; but not the end of a sentence
    | \d+(?:[.,:/]\d+)+(?:-\w+)*                  # 3.5  1,000  10:30  1/2
    | can(?=not\b)                                # can|not
    | [^\W_]+(?=n't(?!\w))                        # is|n't
    | n't(?!\w)
    | {_SUFFIX}
    | 'n'                                         # slip 'n' slide
    | {_PART}(?:[-./]{_PART})*                    # t-shirt  example.com  and/or
    | [^\w\s]                                     # what is not on the list below stays, as coco-caption has it
    """,
    re.VERBOSE,
)
_DROPPED = frozenset("'' ' `` ` { } . ? ! , : - -- ... ; \" “ ” ‘ ’ … – —".split())
# PTBTokenizer writes -LRB-, and so does coco-caption's list of what to drop; but the text is lower case by then.
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-"}
_BRACKETS_BACK = {word: bracket for bracket, word in _BRACKETS.items()}
_OWNED = re.compile(_SUFFIX)


def tokenize(text: str) -> list[str]:
    """Split a caption into lower-case words without punctuation.

    Parameters
    ----------
    text : str
        A caption, as people wrote it.

    Returns
    -------
    list of str
        ``"A dog's ball, isn't it?"`` gives ``a dog 's ball is n't it``.

    Notes
    -----
    Equal to PTBTokenizer as ``pycocoevalcap`` 1.2 calls it on all but a few captions in a hundred thousand.
    """
    return [_BRACKETS.get(token, token) for token in _TOKEN.findall(text.lower()) if token not in _DROPPED]


def join(words: Sequence[str]) -> str:
    """Write words as a person would; `tokenize` splits the result into the same words again.

    (Save for an abbreviation at the very end, ``mr.``, whose point is then taken for the end of the sentence.)

    ``a dog 's ball is n't it`` gives ``a dog's ball isn't it``.
    """
    text, previous = "", ""
    for word in words:
        attached = previous.isalpha() if word == "n't" else previous[-1:].isalnum() and _OWNED.fullmatch(word)
        text += ("" if attached or not text else " ") + _BRACKETS_BACK.get(word, word)
        previous = word
    return text
