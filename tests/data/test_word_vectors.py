"""Word vectors of GloVe: known words get theirs, and others random ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from looksay import DataError
from looksay.data import word_vectors

WORDS = ("<start>", "dog", "n't", "zebra")


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "glove.txt"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


@pytest.mark.parametrize("head", ["", "2 3\n"])
def test_words_of_the_file_get_its_vectors_and_others_are_drawn(tmp_path: Path, head: str) -> None:
    file = write(tmp_path, f"{head}the 0 0 0\ndog 1 2 3\ndog at name@domain.com 7 8 9\nn't -1 -2 -3.5\n")
    vectors, count = word_vectors.read(file, WORDS)
    assert (vectors.shape, count) == ((4, 3), 2)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[1:3], [[1, 2, 3], [-1, -2, -3.5]])
    assert vectors[0].any()
    np.testing.assert_array_equal(vectors, word_vectors.read(file, WORDS)[0])
    assert (vectors[3] != word_vectors.read(file, WORDS, seed=1)[0][3]).all()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("dog 1 2\nn't 1 2 3\n", "line 2: 3 numbers where the others have 2"),
        ("dog 1 x\n", "line 1: expected a word and numbers"),
        ("dog 1 2\nn't\n", "line 2: 0 numbers where the others have 2"),
        ("cat 1 2\n", "has none of the 4 words"),
        (b"dog \xff\n", "is not UTF-8"),
    ],
)
def test_broken_files_are_refused_with_their_line(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        word_vectors.read(write(tmp_path, text), WORDS)
    with pytest.raises(DataError, match="cannot be read"):
        word_vectors.read(tmp_path / "none.txt", WORDS)
