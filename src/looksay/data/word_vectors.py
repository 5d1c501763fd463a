"""Word vectors in GloVe's text format (Pennington et al. 2014): a word and its numbers, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from looksay.errors import DataError


def read(file: Path, words: Sequence[str], seed: int = 0) -> tuple[NDArray[np.float32], int]:
    """Read the vectors of some words.

    Parameters
    ----------
    file : Path
        As GloVe's are; a first line of two numbers, as word2vec and fastText write it, is passed over.
    words : sequence of str
    seed : int
        Draws the vectors of words that the file lacks, as wide as those it has.

    Returns
    -------
    vectors : ndarray of float32, shape (words, size)
    found : int
        How many of the words are in the file.

    Raises
    ------
    DataError
        If the file cannot be read, if a line is broken, or if it has none of the words.
    """
    found = known(file, words)
    if not found:
        raise DataError(f"{file} has none of the {len(words)} words; is it in GloVe's text format?")
    given = np.stack(list(found.values()))
    draw = np.random.default_rng(seed)
    vectors = draw.normal(given.mean(), given.std(), (len(words), given.shape[1])).astype(np.float32)
    vectors[list(found)] = given
    return vectors, len(found)


def known(file: Path, words: Sequence[str]) -> dict[int, NDArray[np.float32]]:
    """Return the vectors of those words that a file has, by their places among `words`.

    Raises
    ------
    DataError
        If the file cannot be read, or if a line is broken.
    """
    places = {word: place for place, word in enumerate(words)}
    found: dict[int, NDArray[np.float32]] = {}
    size = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                word, *numbers = line.rstrip().split(" ")
                if number == 1 and len(numbers) == 1:
                    continue
                if word in places:
                    vector = np.array(numbers, dtype=np.float32)
                    size = size or len(vector)
                    if len(vector) != size:
                        raise DataError(f"{file}, line {number}: {len(vector)} numbers where the others have {size}")
                    found[places[word]] = vector
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8, as word vectors are: {error.reason}") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file}, line {number}: expected a word and numbers; {error}") from error
    except OSError as error:
        raise DataError(
            f"{file} cannot be read: {error.strerror}; embedding.vectors names a file in GloVe's format"
        ) from error
    return found
