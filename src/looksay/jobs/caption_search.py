"""Full-text search in a database of captions."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from looksay.errors import JobError
from looksay.jobs.search_terms import STOPWORDS, expression, forms, related, words
from looksay.jobs.sqlite_writer import read_provenance_id
from looksay.jobs.writers import writing

_SELECT = (
    "SELECT image, captions.caption FROM words JOIN captions ON captions.id = words.rowid "
    "WHERE words MATCH ? ORDER BY bm25(words), words.rowid LIMIT ?"
)
_SAMPLE = 10_000  # captions from which the frequent words are counted


class Match(NamedTuple):
    """An image whose caption matches a query."""

    image: str
    caption: str


class SearchResult(NamedTuple):
    """Matching images, the best first, and advice on the words of the query that no caption contains."""

    matches: list[Match]
    advice: list[str]


def search(query: str, file: Path, limit: int) -> SearchResult:
    """Search images by their captions.

    Words match in any form (*dog* finds *dogs*, *man* finds *men*), in scripts without spaces also within a text, and
    stop words are ignored. A word that no caption contains finds those with related words. Captions with all words come
    first, then captions with some of them, both ranked by BM25. At most `limit` images are returned, by their paths.
    Raises `JobError` if the query has no word, or if the file is not a database that `SqliteWriter` wrote.
    """
    terms = words(query)
    if not terms:
        raise JobError(f"the query {query!r} has no word")
    if not file.is_file():
        raise JobError(f"there is no {file}; make it with: looksay caption PHOTOS --output {file}")
    with writing(file), closing(sqlite3.connect(file, timeout=30)) as database:
        if read_provenance_id(database) is None:
            raise JobError(f"{file} holds no captions of looksay")

        def select(match: str, count: int = 1) -> list[Match]:
            rows = database.execute(_SELECT, (match, count))
            return [Match(str(file.parent / image), caption) for image, caption in rows]

        expressions, advice = [], []
        for word in terms:
            match = expression(forms(word))
            if not select(match):
                advice.append(f"no caption in {file} contains {word}")
                near = [other for other in sorted(related(word)) if select(expression([other]))]
                match = expression(near) if near else match
                advice[-1] += f"; searched for {', '.join(near)}" if near else ""
            expressions.append(match)
        matches = [*select(" AND ".join(expressions), limit), *select(" OR ".join(expressions), limit)]
        if not matches:
            advice.append(f"frequent words: {', '.join(_frequent_words(database)) or 'none, it has no captions'}")
        return SearchResult(list(dict.fromkeys(matches))[:limit], advice)


def _frequent_words(database: sqlite3.Connection) -> list[str]:
    """Return the most frequent words of the captions, without stop words."""
    captions = database.execute("SELECT caption FROM captions WHERE caption NOT NULL LIMIT ?", (_SAMPLE,))
    counts = Counter(word for (caption,) in captions for word in set(words(caption)) - STOPWORDS)
    return [word for word, _ in counts.most_common(20)]
