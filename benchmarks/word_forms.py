"""Write the table of word forms that `looksay find` knows, from the lexicon of LemmInflect (pip install lemminflect).

python benchmarks/word_forms.py src/looksay/jobs/word_forms.txt

A line has the forms of a word. Words whose forms all have one Porter stem are left out: the index has stems.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from timing import parser

SUPPLETIVE = ("person people persons",)  # for the lexicon these are two words
HEADER = "# Forms of English words, by benchmarks/word_forms.py from the lexicon of LemmInflect 0.2.3 (MIT).\n"


def read_lexicon() -> dict[str, set[str]]:
    """Return the forms of each lemma."""
    forms: defaultdict[str, set[str]] = defaultdict(set)
    file = resources.files("lemminflect") / "resources" / "lemma_lu.csv.gz"
    for line in gzip.decompress(file.read_bytes()).decode().splitlines():
        form, part_of_speech, lemmas = line.split(",")
        for lemma in lemmas.split("/"):
            if part_of_speech != "aux" and re.fullmatch("[a-z]+ [a-z]+", f"{form} {lemma}"):
                forms[lemma] |= {lemma, form}
    return forms


def stems(words: Iterable[str]) -> dict[str, str]:
    """Return the Porter stem of each word, by SQLite."""
    ordered = sorted(words)
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE words USING fts5(word, tokenize='porter')")
    database.execute("CREATE VIRTUAL TABLE terms USING fts5vocab(words, 'instance')")
    database.executemany("INSERT INTO words (rowid, word) VALUES (?, ?)", enumerate(ordered))
    return {ordered[row]: term for term, row in database.execute("SELECT term, doc FROM terms")}


def main() -> None:
    """Write the table."""
    arguments = parser(__doc__)
    arguments.add_argument("output", type=Path)
    forms = read_lexicon()
    stem = stems(set().union(*forms.values()))
    irregular = (
        " ".join([lemma, *sorted(words - {lemma})])
        for lemma, words in forms.items()
        if len({stem[word] for word in words}) > 1
    )
    lines = sorted({*irregular, *SUPPLETIVE})
    arguments.parse_args().output.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
