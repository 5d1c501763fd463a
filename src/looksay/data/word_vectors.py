"""Word vectors in GloVe's text format (Pennington et al. 2014): one line with a word and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from looksay.errors import DataError


def read(file: Path, words: Sequence[str], seed: int = 0) -> tuple[NDArray[np.float32], int]:
    """Return vectors for words, shape (words, size), and how many of the words the file has.

    Words that the file lacks get random vectors of the file's mean and deviation. A first line of two numbers, as
    word2vec and fastText write it, is skipped. A file that cannot be read, a broken line, or a file that has none of
    the words is a `DataError`.
    """
    vectors_by_index = known(file, words)
    if not vectors_by_index:
        raise DataError(f"{file} has none of the {len(words)} words; is it in GloVe's text format?")
    known_vectors = np.stack(list(vectors_by_index.values()))
    generator = np.random.default_rng(seed)
    shape = (len(words), known_vectors.shape[1])
    vectors = generator.normal(known_vectors.mean(), known_vectors.std(), shape).astype(np.float32)
    vectors[list(vectors_by_index)] = known_vectors
    return vectors, len(vectors_by_index)


def known(file: Path, words: Sequence[str]) -> dict[int, NDArray[np.float32]]:
    """Return the vectors of the words that a file has, by their indices in `words`; for errors see `read`."""
    indices = {word: index for index, word in enumerate(words)}
    vectors: dict[int, NDArray[np.float32]] = {}
    size = number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                word, *numbers = line.rstrip().split(" ")
                if word not in indices or (number == 1 and len(numbers) == 1):
                    continue
                try:
                    vector = np.array(numbers, dtype=np.float32)
                except ValueError:
                    if 0 < size < len(numbers):  # glove.840B has words with spaces, whose first part may be a word
                        continue
                    raise
                size = size or len(vector)
                if len(vector) != size:
                    raise DataError(f"{file}, line {number}: {len(vector)} numbers where the others have {size}")
                vectors[indices[word]] = vector
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8, as word vectors are: {error.reason}") from error
    except ValueError as error:
        raise DataError(f"{file}, line {number}: expected a word and numbers; {error}") from error
    except OSError as error:
        advice = "embedding.vectors names a file in GloVe's format"
        raise DataError(f"{file} cannot be read: {error.strerror}; {advice}") from error
    return vectors
