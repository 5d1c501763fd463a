"""A model folder: ``encoder.onnx``, ``decoder.onnx``, ``vocabulary.json``, ``model.json``, perhaps ``tags.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from looksay.errors import BundleError
from looksay.tagging.concepts import ConceptTable
from looksay.text.vocabulary import Vocabulary
from looksay.types import ModelSpec

ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
VOCABULARY = "vocabulary.json"
MODEL = "model.json"
TAGS = "tags.json"
"""Only in a bundle whose encoder also recognises nouns."""
CARD = "CARD.md"

FORMAT = 3
"""What ``model.json`` calls the format of a bundle; it grows when an older looksay could not read one rightly."""


@dataclass(frozen=True)
class Bundle:
    """A model folder whose graphs and words are all there and unaltered.

    Attributes
    ----------
    folder : Path
    spec : ModelSpec
        What ``model.json`` says.
    vocabulary : Vocabulary
    tags : ConceptTable, optional
        What the encoder's classes are called, where it tells them.
    """

    folder: Path
    spec: ModelSpec
    vocabulary: Vocabulary
    tags: ConceptTable | None = None

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Read a bundle and check the sha256 of its graphs and words.

        Raises
        ------
        BundleError
            If the folder is not a bundle, or if a file is missing or altered.
        """
        try:
            told = json.loads((folder / MODEL).read_text(encoding="utf-8"))
            if told.get("format", FORMAT) > FORMAT:
                raise BundleError(f"{folder} is of a newer looksay: pip install --upgrade looksay")
            spec = ModelSpec.from_json(told)
        except FileNotFoundError as error:
            raise BundleError(f"{folder} is not a model: it has no {MODEL}; make one with looksay export") from error
        except BundleError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{folder / MODEL} cannot be understood: {error!r}; export the model again") from error
        tagged = [TAGS] if TAGS in spec.files else []
        for name in (ENCODER, DECODER, VOCABULARY, *tagged):
            if not (folder / name).is_file():
                raise BundleError(f"{folder} has no {name}; copy the whole folder or export it again")
            if spec.files.get(name) != sha256(folder / name):
                raise BundleError(f"{folder / name} is damaged or was altered: its sha256 is not the one in {MODEL}")
        tags = ConceptTable.load(folder / TAGS) if tagged else None
        return cls(folder, spec, Vocabulary.load(folder / VOCABULARY), tags)


def seal(folder: Path, spec: ModelSpec) -> ModelSpec:
    """Write ``model.json`` with the sha256 of every other file in `folder`; return the spec as written."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MODEL}
    sealed = replace(spec, files=files)
    text = json.dumps({"format": FORMAT} | sealed.to_json(), indent=2, ensure_ascii=False) + "\n"
    (folder / MODEL).write_text(text, encoding="utf-8")
    return sealed


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
