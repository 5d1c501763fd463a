"""The tokenizer: caption text ↔ tokens, equal to that of coco-caption.

coco-caption runs Stanford's PTBTokenizer 3.4.1 (``-preserveLines -lowerCase``) and drops a list of punctuation. The
rules below reproduce the output of the Java program, against which ``tests/text/test_tokenizer.py`` checks them.
Scripts that are written without spaces, which it does not split, are split into characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Han, kana, Thai, Lao, Myanmar, Khmer: nothing marks the end of a word, so each character is a token.
_SPACELESS = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]\ua78f*)"
)
_MARK = "\ua78f"  # a letter in place of accents and vowel signs while tokens are matched: `re` has no class for them
_EMOJI = re.compile("[\U00010000-\U0001ffff\ufe0f]")  # PTBTokenizer cannot read these and drops them
_JOINERS = "\u200c\u200d"  # between the letters of a word, in Persian and in Indian scripts

_L = r"[^\W\d_]"  # a letter of any script
_LD = r"[^\W_]"  # or a digit
_A = "['’]"
_ABBREVIATION = "|".join(
    """
    jan feb mar apr jun jul aug sept? oct nov dec mon tues? wed thu thurs fri
    ala ariz calif colo conn ct dak fla ga ind kans? ky md mich minn mont neb nev okla penn tenn va vt wisc? wyo
    (?-i:Ark|Az|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash)
    inc cos? corp ltd plc rt bancorp bhd assn univ intl sys dept mfg bldg blvd rd ste? ave mt ft sq tel est ext mo
    etc al seq cf vs jr sr bros esq ph ph\\.d mr mrs ms mme mlle drs? profs? sens? reps? attys? lt col gen messrs govs?
    adm rev maj sgt cpl pvt capt pres lieut hon brig co?mdr pfc spc supts? det insp msgr alex wm jos cie treas natl
    """.split()
)
# After "A." these words begin a new sentence, so the point ends the sentence before.
_OPENERS = (
    "The|An?|In|At|He|She|It|They|We|You|Her|Their|Our|This|That|These|But|If|When|While|As|There|Here|One|Some|Many|"
    "What|So|Then|After|However|Since"
)
_ACRONYM = rf"{_L}(?:\.{_L})+\.(?!{_LD})"
_SUFFIX = rf"{_A}(?:s|m|d|re|ve|ll)(?!{_LD})"  # dog|'s  we|'re
_SENTENCES = rf"{_L}{_LD}*(?:[.!?]{_L}{_LD}*)+"  # no space between two sentences: one token
_THING = rf"(?:[dol]{_A}{_L})?{_LD}+(?:[-_‐‑](?:[dol]{_A}{_L})?{_LD}+)*"  # t-shirt  o'clock  1990
_HOST = r"""[^\s"`'<>|.!?(){},_$-]{1,63}"""  # bounded: a long text without spaces would take quadratic time
# The first alternative that matches wins, so their order matters.
_TOKEN = re.compile(
    rf"""
      (?!(?:cannot|gonna|gotta|wanna|lemme|gimme)\b)[a-z]+(?!\S)        # nearly every word
    | </?[a-z][\w:.@-]*/?>                                               # <b>
    | &(?:amp|lt|gt|quot|nbsp|[mn]dash|\#\d+); | c\+\+ | [cf]\# | \^_\^
    | https?://[^\s"<>|()]+[^\s"<>|.!?(){{}},-]
    | (?:www\.(?:{_HOST}\.){{1,8}}[a-z]{{2,4}}|(?:{_HOST}\.){{1,8}}(?:com|net|org|edu)(?!{_LD}))
      (?:/[^\s"<>|()]+[^\s"<>|.!?(){{}},-])?
    | [a-z0-9][^\s"<>|()]{{0,63}}@[^\s"<>|(){{}}.]+(?:\.[^\s"<>|(){{}}.]+)*
    | \#\#+ | [@\#][a-z_]\w*                                                    # #sunset
    | (?:{_ABBREVIATION})\.(?!{_LD})                                    # st.  jan.
    | (?:nos?|figs?|pp|op|art|ca)\.(?=\s?\d)                            # no. 5
    | {_L}\.(?!{_LD}|\s*$|\s+(?-i:{_OPENERS})(?!\S))                    # j. r.
    | (?:{_LD}+-)?{_ACRONYM}(?:-(?:{_ACRONYM}|{_LD}+))*                 # u.s.  p.m.
    | {_L}{_LD}*\.(?=[,;:]) | {_SENTENCES}\.(?=[,;:])
    | (?:\d{{1,4}}-)?\d{{1,4}}/\d{{1,4}}(?!/?{_LD}|-) | \d{{1,2}}[-/]\d{{1,2}}[-/]\d{{2,4}}(?!{_LD})
    | [a-z0-9][a-z0-9.,]{{0,63}}(?:-[a-z0-9]+)+(?![\w/-])                      # 3.5-meter
    | {_L}*(?!n){_L}(?=n['’`]t) | n['’`]t{_LD}*                         # is|n't
    | can(?=not(?!{_LD})) | (?:gon|wan)(?=na(?!{_LD})) | got(?=ta(?!{_LD})) | (?:lem|gim)(?=me(?!{_LD}))
    | (?-i:[A-Z]+(?:[&+][A-Z]+)+)                                       # AT&T
    | [a-z0-9]+(?:-[a-z]+){{0,2}}(?:/[a-z0-9]+(?:-[a-z]+){{0,2}}){{1,2}}   # and/or
    | {_SUFFIX}
    | {_A}t(?=(?:is|was)(?!{_LD})) | {_A}(?:em|till?|cause|[2-9]0s)(?!{_LD})
    | (?:y|(?-i:j)){_A}(?={_L}) | ol{_A}(?!{_LD})                       # y'all
    | {_A}n{_A} | {_A}n(?!{_LD})                                        # rock 'n' roll
    | (?-i:[A-Z]+)\$
    | (?-i:[A-HJ-XZn])(?!{_SUFFIX}){_A}{_L}{{2,}}                          # K'nex
    | c'est | s'mores | nor'easter | nat'l | c'mon | e'er | ev'ry | li'l
    | {_L}+[aeiouy](?!{_SUFFIX}){_A}(?-i:[aeiouA-Z]){_L}*               # ma'am
    | {_SENTENCES}
    | [-+]?\d*(?:[.:,]\d+)+ | [-+]\d+                                   # 1,000  10:30  .5
    | {_THING}
    | __+ | \*\*+ | [!?]{{2,}}
    | [<>]?[:;=][-o*']?[()DPdpO\\{{@|\[\]](?!{_LD})                    # :)
    | [^\s]
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DROPPED = frozenset(
    "&quot; &nbsp; &mdash; &ndash; "
    "' ` . ? ! , : - ; \" “ ” ‘ ’ ‛ « » ‹ › … – — ‐ 。 ， 、 ！ ？ ； ： 「 」 『 』 （ ） 《 》 । ॥ ؟ ، ؛ ۔".split()
)
# PTBTokenizer's spellings; coco-caption lowers their case before it drops brackets in capitals, so they remain.
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_BRACKETS_BACK = {word: bracket for bracket, word in _BRACKETS.items()}
_SPELLING = str.maketrans(_BRACKETS)
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_REWRITTEN = str.maketrans({"½": " 1/2 ", "¼": " 1/4 ", "¾": " 3/4 ", "€": " $ ", "£": " # ", "¢": " cents "})
_OWNED = re.compile(_SUFFIX)


def tokenize(text: str) -> list[str]:
    """Split a caption in any script into lower-case tokens without punctuation.

    ``"A dog's ball, isn't it?"`` gives ``a dog 's ball is n't it``.

    Equal to PTBTokenizer as ``pycocoevalcap`` 1.2 calls it, except for rare cases listed in
    ``docs/reference/scores.md`` and for Chinese and other scripts without spaces, which are split into characters.
    """
    tokens = _TOKEN.findall(text) if text.isascii() else _split_any_script(text)
    return [_normalise(token) for token in tokens if token not in _DROPPED]


def _split_any_script(text: str) -> list[str]:
    """Match tokens in a copy of the text without accents and vowel signs, and return those spans of the text itself."""
    text = _EMOJI.sub(" ", unicodedata.normalize("NFC", text)).translate(_REWRITTEN)
    shadow = "".join(_MARK if unicodedata.category(c)[0] == "M" or c in _JOINERS else c for c in text)
    pieces, start = [], 0
    for piece in _SPACELESS.split(shadow):
        end = start + len(piece)
        if _SPACELESS.match(piece):
            pieces.append(text[start:end])
        else:
            pieces += [text[start:end][slice(*token.span())] for token in _TOKEN.finditer(piece)]
        start = end
    return pieces


def _normalise(token: str) -> str:
    token = token.lower()
    if token.isalnum():
        return token
    if token.startswith(("’", "n’")):
        token = token.replace("’", "'")
    return _ENTITIES.get(token, token.translate(_SPELLING))


def join(tokens: Sequence[str]) -> str:
    """Return tokens as text; `tokenize` splits the result into the same tokens.

    ``a dog 's ball is n't it`` gives ``a dog's ball isn't it``; Chinese characters are joined without spaces. An
    abbreviation at the very end, ``mr.``, is an exception: its point then ends the sentence.
    """
    text, previous = "", ""
    for word in tokens:
        if word == "n't":
            attached = previous.isalpha() and not previous.endswith("n")
        elif _OWNED.fullmatch(word):
            attached = previous[-1:].isalnum()
        else:
            attached = bool(_SPACELESS.match(previous) and _SPACELESS.match(word))
        text += ("" if attached or not text else " ") + _BRACKETS_BACK.get(word, word)
        previous = word
    return text
