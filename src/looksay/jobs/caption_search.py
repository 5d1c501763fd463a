"""Search in a database of captions: full text, and tags."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from looksay.errors import JobError
from looksay.jobs.search_terms import STOPWORDS, expression, forms, parse, related, tag_names, words
from looksay.jobs.sqlite_writer import read_provenance_id
from looksay.jobs.writers import writing
from looksay.types import KEYWORD_PROBABILITY

_BY_WORDS = (
    "SELECT image, captions.caption FROM words JOIN captions ON captions.id = words.rowid "
    "WHERE words MATCH ?{tagged} ORDER BY bm25(words), words.rowid LIMIT ?"
)
_BY_TAG = (
    "SELECT image, caption FROM captions JOIN (SELECT id, max(probability) AS certainty FROM tags "
    "WHERE name IN ({names}) GROUP BY id) USING (id) WHERE TRUE{tagged} ORDER BY certainty DESC, id LIMIT ?"
)
_TAGGED = " AND captions.id IN (SELECT id FROM tags WHERE probability >= ? AND name IN ({names}))"
_FREQUENT_TAGS = "SELECT name FROM tags WHERE probability >= ? GROUP BY name ORDER BY count(*) DESC, name LIMIT 20"
_SAMPLE = 10_000  # captions from which the frequent words are counted


class Match(NamedTuple):
    """An image whose caption matches a query."""

    image: str
    caption: str


class SearchResult(NamedTuple):
    """Matching images, the best first, and advice on the words of the query that no caption contains."""

    matches: list[Match]
    advice: list[str]


def search(query: str, file: Path, limit: int, tags: Sequence[str] = ()) -> SearchResult:
    """Search images by their captions, by tags that all of them have, or by both.

    Words match in any form (*dog* finds *dogs*, *man* finds *men*), in scripts without spaces also within a text, and
    stop words are ignored. Words in double quotes are a phrase, and a minus excludes a word or phrase. A word that no
    caption contains finds those with related words. Captions with all words come first, then captions with some of
    them, both ranked by BM25; without a query, the images whose first tag is most probable. A tag counts from
    `KEYWORD_PROBABILITY` on. At most `limit` images are returned, by their paths. Raises `JobError` if there is neither
    a word nor a tag, or if the file is not a database that `SqliteWriter` wrote.
    """
    terms, excluded = parse(query)
    if not terms and not tags:
        raise JobError(f"the query {query!r} has no word")
    if not file.is_file():
        raise JobError(f"there is no {file}; make it with: looksay caption PHOTOS --output {file}")
    if file.suffix in (".jsonl", ".csv"):
        raise JobError(f"{file} cannot be searched: use a database, of looksay caption PHOTOS --output captions.db")
    with writing(file), closing(sqlite3.connect(file, timeout=30)) as database:
        if read_provenance_id(database) is None:
            raise JobError(f"{file} holds no captions of looksay")
        index = _Index(database, file.parent, [tag_names(tag) for tag in tags])
        expressions, advice = [], []
        for word in terms:
            match = expression(forms(word))
            if not index.contains(match):
                advice.append(f"no caption in {file} contains {word}")
                near = [other for other in sorted(related(word)) if index.contains(expression([other]))]
                match = expression(near) if near else match
                advice[-1] += f"; searched for {', '.join(near)}" if near else ""
            expressions.append(match)
        if terms:
            without = "".join(f" NOT {expression(forms(word))}" for word in excluded)
            ways = (way.join(expressions) for way in (" AND ", " OR "))
            matches = [row for way in ways for row in index.by_words(f"({way}){without}", limit)]
        else:
            matches = index.by_tag(limit)
        if not matches and terms:
            advice.append(f"frequent words: {', '.join(_frequent_words(database)) or 'none, it has no captions'}")
        if not matches and tags:
            advice += [f"no image in {file} has the tag {tag}" for tag in tags if not _has_tag(database, tag)]
            advice.append(f"frequent tags: {', '.join(index.frequent_tags()) or 'none'}")
        return SearchResult(list(dict.fromkeys(matches))[:limit], advice)


class _Index:
    """The captions of a database that have some tags, each of them by any of its names."""

    def __init__(self, database: sqlite3.Connection, folder: Path, tags: Sequence[Sequence[str]]) -> None:
        self._database, self._folder, self._tags = database, folder, tags
        self._tagged = "".join(_TAGGED.format(names=_marks(names)) for names in tags)
        self._values: list[str | float] = []
        for names in tags:
            self._values += [KEYWORD_PROBABILITY, *names]

    def contains(self, match: str) -> bool:
        """Return whether any caption matches an FTS5 expression, whatever its tags."""
        return bool(self._database.execute(_BY_WORDS.format(tagged=""), (match, 1)).fetchone())

    def by_words(self, match: str, limit: int) -> list[Match]:
        """Return the images whose captions match, the best first."""
        return self._select(_BY_WORDS.format(tagged=self._tagged), [match, *self._values, limit])

    def by_tag(self, limit: int) -> list[Match]:
        """Return the images, the most probable first."""
        statement = _BY_TAG.format(names=_marks(self._tags[0]), tagged=self._tagged)
        return self._select(statement, [*self._tags[0], *self._values, limit])

    def _select(self, statement: str, values: Sequence[str | float]) -> list[Match]:
        rows = self._database.execute(statement, values)
        return [Match(str(self._folder / image), caption) for image, caption in rows]

    def frequent_tags(self) -> list[str]:
        """Return the tags of most images."""
        return [name for (name,) in self._database.execute(_FREQUENT_TAGS, (KEYWORD_PROBABILITY,))]


def _has_tag(database: sqlite3.Connection, tag: str) -> bool:
    index = _Index(database, Path(), [tag_names(tag)])
    return bool(index.by_tag(1))


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" for _ in values)


def _frequent_words(database: sqlite3.Connection) -> list[str]:
    """Return the most frequent words of the captions, without stop words."""
    captions = database.execute("SELECT caption FROM captions WHERE caption NOT NULL LIMIT ?", (_SAMPLE,))
    counts = Counter(word for (caption,) in captions for word in set(words(caption)) - STOPWORDS)
    return [word for word, _ in counts.most_common(20)]
