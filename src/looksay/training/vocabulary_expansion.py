"""New words for a trained model: what it knows of them is guessed from how near they are to words it knows."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.data import word_vectors
from looksay.errors import DataError
from looksay.text.vocabulary import Vocabulary

log = logging.getLogger(__name__)

_TABLE = "decoder.embedding.table.weight"
_SPEAKER = "decoder.output_head.2"
_RIDGE = 10.0


def grow(weights: dict[str, Tensor], known: Vocabulary, grown: Vocabulary, file: str = "") -> dict[str, Tensor]:
    """Give the words that a vocabulary has more than a model's own a place in its weights.

    A line is fitted (ridge regression) from the vectors of the words that the model knows to its rows for them, its
    biases among these, and gives the rows of the new words: a word whose vector is near that of ``dog`` is said where
    a dog might be. Anderson et al. 2017 fix the rows to the vectors for that end; here they stay free to learn.

    Parameters
    ----------
    weights : dict of Tensor
        Of a `CaptionModel`.
    known, grown : Vocabulary
        The model's words, and these with the new ones behind them.
    file : str
        Vectors in GloVe's text format; new words that it has not, and all if it is empty, get the mean row.

    Returns
    -------
    dict of Tensor

    Raises
    ------
    DataError
        If the file cannot be read, or has none of the words.
    """
    new = grown.tokens[len(known) :]
    near = _vectors(file, grown)
    if file:
        missing = [word for word in new if not near[grown.tokens.index(word)].any()]
        log.info("new words: %d of %d are in %s", len(new) - len(missing), len(new), file)
    result = dict(weights)
    for name in (_TABLE, f"{_SPEAKER}.weight", f"{_SPEAKER}.bias"):
        rows = weights[name].double().numpy().reshape(len(known), -1)
        added = _fitted(near[: len(known)], rows, near[len(known) :])
        value = torch.from_numpy(np.concatenate([rows, added])).to(weights[name].dtype)
        result[name] = value.reshape(len(grown), *weights[name].shape[1:])
    return result


def _vectors(file: str, words: Vocabulary) -> NDArray[np.float64]:
    """Return the vectors of words; zeros where there is none."""
    if not file:
        return np.zeros((len(words), 1))
    found = word_vectors.known(Path(file), words.tokens)
    if not found:
        raise DataError(f"{file} has none of the {len(words)} words; is it in GloVe's text format?")
    near = np.zeros((len(words), len(next(iter(found.values())))))
    near[list(found)] = list(found.values())
    return near


def _fitted(near: NDArray[np.float64], rows: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows for `wanted` vectors as ridge regression of `rows` on `near` gives them."""
    told = near.any(axis=1)
    if not told.any():
        return np.tile(rows.mean(axis=0), (len(wanted), 1))
    near, rows = near[told], rows[told]
    centre, mean = near.mean(axis=0), rows.mean(axis=0)
    around = near - centre
    line = np.linalg.solve(around.T @ around + _RIDGE * np.eye(around.shape[1]), around.T @ (rows - mean))
    offset = np.where(wanted.any(axis=1, keepdims=True), wanted - centre, 0.0)
    fitted: NDArray[np.float64] = mean + offset @ line
    return fitted
