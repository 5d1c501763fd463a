"""New words for a trained model: ImageNet's concepts, and initial weights from pretrained word vectors."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.data import word_vectors
from looksay.errors import DataError
from looksay.tagging.concepts import Concept
from looksay.text.vocabulary import Vocabulary

log = logging.getLogger(__name__)

_EMBEDDING = "decoder.embedding.table.weight"
_OUTPUT = "decoder.output_head.2"
_RIDGE = 10.0


def expand(weights: dict[str, Tensor], known: Vocabulary, extended: Vocabulary, file: str = "") -> dict[str, Tensor]:
    """Add the rows of new words to the embedding and the output layer.

    Ridge regression from the pretrained vectors of known words to their rows in the model, including the biases,
    predicts the rows of the new words: a word whose vector is near that of ``dog`` is predicted where a dog might be.
    Anderson et al. 2017 fix the rows to the pretrained vectors for this purpose; here they stay trainable.

    `weights` are those of a `CaptionModel` with the vocabulary `known`; `extended` has new words at its end. `file` has
    vectors in GloVe's text format; new words without a vector, and all without a file, get the mean row. A file that
    cannot be read or has none of the words raises a DataError.
    """
    new_words = extended.tokens[len(known) :]
    vectors = _vectors(file, extended)
    if file:
        count = int(vectors[len(known) :].any(axis=1).sum())
        log.info("new words: %d of %d are in %s", count, len(new_words), file)
    result = dict(weights)
    for name in (_EMBEDDING, f"{_OUTPUT}.weight", f"{_OUTPUT}.bias"):
        rows = weights[name].double().numpy().reshape(len(known), -1)
        new_rows = _predict(vectors[: len(known)], rows, vectors[len(known) :])
        value = torch.from_numpy(np.concatenate([rows, new_rows])).to(weights[name].dtype)
        result[name] = value.reshape(len(extended), *weights[name].shape[1:])
    return result


def _vectors(file: str, vocabulary: Vocabulary) -> NDArray[np.float64]:
    """Return the vectors of all tokens; zeros where there is none."""
    if not file:
        return np.zeros((len(vocabulary), 1))
    by_id = word_vectors.known(Path(file), vocabulary.tokens)
    if not by_id:
        raise DataError(f"{file} has none of the {len(vocabulary)} words: check that it is in GloVe's text format")
    vectors = np.zeros((len(vocabulary), len(next(iter(by_id.values())))))
    vectors[list(by_id)] = list(by_id.values())
    return vectors


def _predict(
    vectors: NDArray[np.float64], rows: NDArray[np.float64], new_vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the rows of `new_vectors` by ridge regression of `rows` on `vectors`."""
    has_vector = vectors.any(axis=1)
    if not has_vector.any():
        return np.tile(rows.mean(axis=0), (len(new_vectors), 1))
    vectors, rows = vectors[has_vector], rows[has_vector]
    mean_vector, mean_row = vectors.mean(axis=0), rows.mean(axis=0)
    centred = vectors - mean_vector
    gram = centred.T @ centred + _RIDGE * np.eye(centred.shape[1])
    coefficients = np.linalg.solve(gram, centred.T @ (rows - mean_row))
    offsets = np.where(new_vectors.any(axis=1, keepdims=True), new_vectors - mean_vector, 0.0)
    predicted: NDArray[np.float64] = mean_row + offsets @ coefficients
    return predicted


def read_concepts() -> list[Concept]:
    """Return the concepts of ``concepts.txt``: nouns for ImageNet's classes, then some without a class."""
    text = (resources.files("looksay") / "training" / "concepts.txt").read_text(encoding="utf-8")
    group, concepts, parents = "", {}, {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)( !)?\]", line):
            group = heading[1] if heading[2] else ""
            continue
        names, _, classes = line.partition(":")
        names, _, parent = names.partition("<")
        words = tuple(word.lstrip("~") for word in names.split())
        homonyms = tuple(word[1:] for word in names.split() if word.startswith("~"))
        concept = Concept(words, words, group, tuple(_numbers(classes)), homonyms=homonyms)
        concepts[concept.name] = concept
        if parent.strip():
            parents[concept.name] = parent.strip()
    for name, parent in parents.items():
        child, above = concepts[name], concepts[parent]
        concepts[name] = replace(child, named_by=child.words + above.words)
        concepts[parent] = replace(above, classes=above.classes + child.classes, named_by=above.named_by + child.words)
    return list(concepts.values())


def _numbers(text: str) -> list[int]:
    """Return the numbers of ``7 8 83-85``."""
    numbers: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
