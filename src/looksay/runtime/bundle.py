"""Bundles: folders with ``model.json``, two ONNX graphs, a vocabulary, and perhaps tags and a confidence model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from looksay.errors import BundleError
from looksay.tagging.concepts import ConceptTable
from looksay.tagging.confidence import ConfidenceModel
from looksay.text.vocabulary import Vocabulary
from looksay.types import ModelSpec

ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
VOCABULARY = "vocabulary.json"
MODEL = "model.json"
TAGS = "tags.json"
CONFIDENCE = "confidence.json"
CARD = "CARD.md"
FILES = (ENCODER, DECODER, VOCABULARY, TAGS, CONFIDENCE, MODEL, CARD)
"""The files that a bundle may have; no others are fetched from a hub."""

SHIPPED = Path(__file__).parents[1] / "bundles"
DEFAULT = "default"

FORMAT = 3
"""The format of a bundle, in ``model.json``; it is raised when other versions could not read a bundle correctly."""


@dataclass(frozen=True)
class Bundle:
    """A model folder whose files were checked."""

    folder: Path
    spec: ModelSpec
    vocabulary: Vocabulary
    tags: ConceptTable | None = None  # the concepts that the encoder recognises
    confidence: ConfidenceModel | None = None

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Read a bundle and check the sha256 of its files.

        Raises a `BundleError` if the folder is not a bundle or is one of another format, or if a file is missing or
        altered.
        """
        spec = _read_spec(folder)
        optional = [name for name in (TAGS, CONFIDENCE) if name in spec.files]
        for name in (ENCODER, DECODER, VOCABULARY, *optional):
            if not (folder / name).is_file():
                raise BundleError(f"{folder} has no {name}; copy the whole folder or export it again")
            if spec.files.get(name) != sha256(folder / name):
                raise BundleError(
                    f"{folder / name} is damaged or was altered: its sha256 differs from that in {MODEL}; copy it again"
                )
        tags = ConceptTable.load(folder / TAGS) if TAGS in optional else None
        confidence = ConfidenceModel.load(folder / CONFIDENCE) if CONFIDENCE in optional else None
        return cls(folder, spec, Vocabulary.load(folder / VOCABULARY), tags, confidence)


def _read_spec(folder: Path) -> ModelSpec:
    try:
        description = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        format_ = int(description.get("format", 1))
        if format_ > FORMAT:
            raise BundleError(f"{folder} requires a newer looksay: pip install --upgrade looksay")
        if format_ < FORMAT:
            raise BundleError(f"{folder} was made by an older looksay; export its run again")
        return ModelSpec.from_json(description)
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is not a model: it has no {MODEL}; make one with looksay export") from error
    except BundleError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder / MODEL} cannot be read: {error!r}; export the model again") from error


def seal(folder: Path, spec: ModelSpec) -> ModelSpec:
    """Write ``model.json`` with the sha256 of every other file in `folder`, and return the spec as written."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MODEL}
    sealed = replace(spec, files=files)
    text = json.dumps({"format": FORMAT} | sealed.to_json(), indent=2, ensure_ascii=False) + "\n"
    (folder / MODEL).write_text(text, encoding="utf-8")
    return sealed


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
