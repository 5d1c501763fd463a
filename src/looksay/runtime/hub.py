"""Names and hub ids → a local model folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from looksay.errors import BundleError, MissingExtra
from looksay.runtime.bundle import CARD, DECODER, ENCODER, MODEL, TAGS, VOCABULARY, Bundle
from looksay.types import ModelSpec

DEFAULT = "default"
SCHEME = "hf://"
"""May stand before a hub id, where a folder of that name could be meant."""

CHECKPOINT = "checkpoint"
"""The folder of a model that holds what it was trained to, where its makers share that."""

_FILES = [ENCODER, DECODER, VOCABULARY, TAGS, MODEL, CARD]
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def locate(model: str | Path = DEFAULT) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    model : str or Path
        A folder; or the name of a model that ships with looksay (``default``); or a Hugging Face hub id
        (``owner/name`` or ``hf://owner/name``), which is downloaded once and then kept in the hub's cache.

    Returns
    -------
    Path

    Raises
    ------
    BundleError
        If there is no such model.
    MissingExtra
        If `model` is a hub id and ``huggingface_hub`` is not installed.
    """
    if isinstance(model, str) and model.startswith(SCHEME) and _HUB_ID.fullmatch(model.removeprefix(SCHEME)):
        return _download(model.removeprefix(SCHEME))
    known = shipped()
    if model in known:
        return known[str(model)]
    if Path(model).is_dir():
        return Path(model)
    if isinstance(model, str) and _HUB_ID.fullmatch(model):
        return _download(model)
    names = ", ".join(sorted(known))
    raise BundleError(f"no model {str(model)!r}: it is no folder, no hub id (owner/name) and none that ships ({names})")


def shipped() -> dict[str, Path]:
    """Return the folders of the models that ship with looksay, by their names."""
    folder = Path(str(resources.files("looksay"))) / "bundles"
    return {path.name: path for path in sorted(folder.iterdir())}


def _download(hub_id: str, *more: str) -> Path:
    hub = _client(f"There is no folder {hub_id}; loading it from the hub")
    try:
        return Path(hub.snapshot_download(hub_id, allow_patterns=[*_FILES, *more]))
    except Exception as error:  # the hub's client raises errors of many libraries
        raise BundleError(f"no folder {hub_id}, and the hub has no model of that name to give: {error}") from error


def pull(hub_id: str, folder: Path, *, checkpoint: bool = False) -> None:
    """Download a model into a folder, and check it.

    Parameters
    ----------
    hub_id : str
        ``owner/name``, with or without ``hf://``.
    folder : Path
        New or empty.
    checkpoint : bool
        Whether to take the run along that the model was made of, into ``checkpoint`` in the folder.

    Raises
    ------
    BundleError
        If the hub has no such model, if it is damaged, or if the folder holds other files.
    MissingExtra
        If ``huggingface_hub`` is not installed.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BundleError(f"{folder} is there already; name a new folder")
    found = _download(hub_id.removeprefix(SCHEME), *([f"{CHECKPOINT}/*"] if checkpoint else []))
    Bundle.open(found)
    if checkpoint and not (found / CHECKPOINT).is_dir():
        raise BundleError(f"{hub_id} has no checkpoint to train on from; pull the model alone")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(found, partial, ignore=None if checkpoint else shutil.ignore_patterns(CHECKPOINT))
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)


def push(folder: Path, hub_id: str, *, private: bool = False, checkpoint: Mapping[str, Path | bytes] = {}) -> str:
    """Upload a model, with a card that the hub understands; return its address.

    Parameters
    ----------
    folder : Path
        A bundle; it is checked first.
    hub_id : str
        ``owner/name``, with or without ``hf://``; made if it is not there.
    private : bool
        Whether a repository that is made is private.
    checkpoint : mapping of str to Path or bytes
        Files of the run that the model was made of, by their names; see `looksay.training.run_loader.shared`.

    Raises
    ------
    BundleError
        If the bundle is damaged, or if the hub does not take it.
    MissingExtra
        If ``huggingface_hub`` is not installed.
    """
    hub = _client("Uploading to the hub")
    hub_id = hub_id.removeprefix(SCHEME)
    bundle = Bundle.open(folder)
    card = folder / CARD
    text = _metadata(bundle.spec) + (card.read_text(encoding="utf-8") if card.is_file() else f"# {bundle.spec.name}\n")
    api = hub.HfApi()
    try:
        address = api.create_repo(hub_id, private=private, exist_ok=True)
        files = [path for path in sorted(folder.iterdir()) if path.name in _FILES or path.suffix == ".md"]
        operations = [hub.CommitOperationAdd(path.name, path) for path in files]
        operations.append(hub.CommitOperationAdd("README.md", text.encode()))
        operations += [hub.CommitOperationAdd(f"{CHECKPOINT}/{name}", file) for name, file in checkpoint.items()]
        api.create_commit(hub_id, operations, commit_message=f"{bundle.spec.name}, by looksay")
    except Exception as error:  # as above
        raise BundleError(f"the hub does not take {folder} as {hub_id}: {error}") from error
    return str(address)


def _client(doing: str) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtra(doing, "hub") from error
    return huggingface_hub


def _metadata(spec: ModelSpec) -> str:
    """Return what the hub reads at the beginning of a card: YAML, of which JSON is a part."""
    facts: dict[str, Any] = {
        "library_name": "looksay",
        "pipeline_tag": "image-to-text",
        "tags": ["image-captioning", "cnn", "lstm", "onnx", spec.encoder, spec.decoder],
    }
    plain = re.fullmatch(r"[a-z0-9.-]+", spec.licence.lower())  # as the hub writes those it knows
    facts |= {"license": spec.licence.lower()} if plain else {"license": "other", "license_name": spec.licence}
    lines = "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in facts.items())
    return f"---\n{lines}---\n\n"
