"""What a word of a query matches: its forms, related words, and words in scripts without spaces."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib import resources

from looksay.decoding.logits_processors import DANGLING
from looksay.runtime import hub
from looksay.runtime.bundle import TAGS
from looksay.tagging.concepts import Concept, ConceptTable

STOPWORDS = DANGLING | {"is", "are", "his", "her", "their", "its"}

# Thai, Lao, Tibetan, Burmese, Hangul (of old and new Korean), Khmer, kana, and Chinese characters. Korean has spaces,
# but a particle is part of its word.
_WITHOUT_SPACES = re.compile(
    "([\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u31ff\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff])"
)


_PART = re.compile(r"""(?<!\S)(-?)(?:"([^"]+)"|(\S+))""")  # of a query: a phrase or a word, perhaps excluded


def index_text(text: str) -> str:
    """Return a text for the full-text index: in scripts without spaces, each character is a word."""
    return _WITHOUT_SPACES.sub(r" \1 ", unicodedata.normalize("NFKC", text))


def parse(query: str) -> tuple[list[str], list[str]]:
    """Return what captions should contain, and what they must not: words, and phrases from double quotes.

    A minus excludes what follows it. A phrase has spaces, and keeps its stop words.
    """
    parts: dict[str, tuple[list[str], list[str]]] = {"": ([], []), "-": ([], [])}  # words, phrases
    for minus, phrase, word in _PART.findall(query):
        parts[minus][bool(phrase)].append(phrase or word)
    wanted, excluded = (
        [*words(" ".join(plain)), *filter(None, (" ".join(_split(phrase)) for phrase in phrases))]
        for plain, phrases in parts.values()
    )
    return wanted, excluded


def words(query: str) -> list[str]:
    """Return the different words of a query without stop words, or with them if there are no others."""
    distinct = list(dict.fromkeys(_split(query)))
    return [word for word in distinct if word not in STOPWORDS] or distinct


def _split(text: str) -> list[str]:
    text = re.sub(r"['’]s\b", "", unicodedata.normalize("NFKC", text).lower())
    # Marks belong to the letters of Hindi or Thai; the rest is no syntax of FTS5.
    return "".join(character if unicodedata.category(character)[0] in "LMN" else " " for character in text).split()


def forms(word: str) -> set[str]:
    """Return a word with its irregular forms: ``man`` with *men*; the index knows the regular ones."""
    return {word}.union(*_groups().get(word, ()))


def related(word: str) -> set[str]:
    """Return the words that name the same kind of object, by the concepts of the default model: ``puppy``, *dog*."""
    return set().union(*(concept.words for concept in _concepts(word))) - {word}


def tag_names(word: str) -> list[str]:
    """Return the tags that a word may stand for: itself, and the default model's concepts that it names."""
    return list(dict.fromkeys([word, *(concept.name for concept in _concepts(word))]))


def _concepts(word: str) -> list[Concept]:
    concepts = ConceptTable.load(hub.locate() / TAGS).concepts
    return [concept for concept in concepts if forms(word) & set(concept.words)]


def expression(alternatives: Iterable[str]) -> str:
    """Return the FTS5 expression for any of these words."""
    return "(" + " OR ".join(f'"{index_text(word)}"' for word in sorted(alternatives)) + ")"


@cache
def _groups() -> dict[str, list[list[str]]]:
    """Return the lines of the table that a word is in."""
    groups: defaultdict[str, list[list[str]]] = defaultdict(list)
    text = (resources.files("looksay") / "jobs" / "word_forms.txt").read_text(encoding="utf-8")
    for line in text.splitlines()[1:]:
        group = line.split()
        for form in group:
            groups[form].append(group)
    return groups
