"""Full-text search in a database of captions."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from looksay.decoding.logits_processors import DANGLING
from looksay.errors import JobError
from looksay.jobs.sqlite_writer import connect, read_provenance_id, sqlite_errors

_STOPWORDS = DANGLING | {"is", "are", "his", "her", "their", "its"}
_SELECT = (
    "SELECT image, captions.caption FROM words JOIN captions ON captions.id = words.rowid "
    "WHERE words MATCH ? ORDER BY bm25(words), words.rowid LIMIT ?"
)


class Match(NamedTuple):
    """An image whose caption matches a query."""

    image: str
    caption: str


class SearchResult(NamedTuple):
    """Matching images, the best first, and the words of the query that no caption contains."""

    matches: list[Match]
    missing_words: list[str]


def search(query: str, file: Path, limit: int) -> SearchResult:
    """Search images by their captions.

    Words match in any form (``dog`` finds *dogs*, by the Porter stemmer), and stop words are ignored. Captions with
    all words come first, then captions with some of them, both ranked by BM25. At most `limit` images are returned.
    Raises `JobError` if the query has no word, or if the file is not a database that `SqliteWriter` wrote.
    """
    query_words = list(dict.fromkeys(re.findall(r"\w+", query.lower())))
    terms = [word for word in query_words if word not in _STOPWORDS] or query_words
    if not terms:
        raise JobError(f"the query {query!r} has no word")
    if not file.is_file():
        raise JobError(f"there is no {file}; make it with: looksay caption PHOTOS --output {file}")
    with sqlite_errors(file), closing(connect(file)) as database:
        if read_provenance_id(database) is None:
            raise JobError(f"{file} holds no captions of looksay")

        def select(expression: str, count: int) -> list[Match]:
            return [Match(*row) for row in database.execute(_SELECT, (expression, count))]

        quoted = [f'"{word}"' for word in terms]
        matches = [*select(" AND ".join(quoted), limit), *select(" OR ".join(quoted), limit)]
        missing = [word for word, expression in zip(terms, quoted, strict=True) if not select(expression, 1)]
        return SearchResult(list(dict.fromkeys(matches))[:limit], missing)
