"""Model names and hub ids → a local model folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from looksay.errors import BundleError, needs
from looksay.runtime.bundle import CARD, DEFAULT, FILES, SHIPPED, Bundle

SCHEME = "hf://"
"""Optional before a hub id; needed if a folder has the same name."""

CHECKPOINT = "checkpoint"
"""The folder in a hub repository with the checkpoint of the run, if its owner shares it."""

_NO_CHECKPOINT = "{} has no checkpoint to start training from; pull the model alone"
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def locate(model: str | Path = DEFAULT) -> Path:
    """Return the folder of a model, given as folder, name of a model that ships with looksay (``default``) or hub id.

    A Hugging Face hub id (``owner/name`` or ``hf://owner/name``) is downloaded once into the hub's cache. Raises a
    `BundleError` if there is no such model, and `MissingExtra` if a hub id needs ``huggingface_hub``.
    """
    if isinstance(model, str) and model.startswith(SCHEME) and _HUB_ID.fullmatch(model.removeprefix(SCHEME)):
        return _download(model.removeprefix(SCHEME))
    bundled = shipped()
    if model in bundled:
        return bundled[str(model)]
    if Path(model).is_dir():
        return Path(model)
    if isinstance(model, str) and _HUB_ID.fullmatch(model):
        return _download(model)
    names = ", ".join(sorted(bundled))
    raise BundleError(f"no model {str(model)!r}: use a folder, a hub id (owner/name) or a model that ships ({names})")


def shipped() -> dict[str, Path]:
    """Return the folders of the models that ship with looksay, by name."""
    return {path.name: path for path in sorted(SHIPPED.iterdir())}


def _check_id(text: str) -> str:
    """Return a hub id without its scheme."""
    hub_id = text.removeprefix(SCHEME)
    if not _HUB_ID.fullmatch(hub_id):
        raise BundleError(f"{text!r} is not a hub id: use owner/name")
    return hub_id


def _snapshot(hub_id: str, *, checkpoint: bool, **options: Any) -> Any:
    """Return what ``huggingface_hub.snapshot_download`` returns for the files of a model."""
    hub = _import_client(f"There is no folder {hub_id}; loading it from the hub")
    names = [*FILES, f"{CHECKPOINT}/*"] if checkpoint else [*FILES]
    try:
        return hub.snapshot_download(hub_id, allow_patterns=names, **options)
    except Exception as error:  # the hub's client raises errors of many libraries
        reason = str(error).partition("\n")[0]
        raise BundleError(
            f"no folder {hub_id}, and the hub has no model of that name or cannot be reached: {reason}"
        ) from error


def _download(hub_id: str, *, checkpoint: bool = False) -> Path:
    return Path(_snapshot(hub_id, checkpoint=checkpoint))


def pull_plan(hub_id: str, folder: Path, *, checkpoint: bool = False) -> dict[str, int]:
    """Return the files that `pull` would download, those in the hub's cache left out, with their sizes in bytes.

    Raises the errors of `pull`, but for a damaged model, which only its files show.
    """
    hub_id = _check_id(hub_id)
    _check_folder(folder.absolute())
    files = _snapshot(hub_id, checkpoint=checkpoint, dry_run=True)
    if checkpoint and not any(file.filename.startswith(f"{CHECKPOINT}/") for file in files):
        raise BundleError(_NO_CHECKPOINT.format(hub_id))
    return {file.filename: file.file_size or 0 for file in files if file.will_download}


def pull(hub_id: str, folder: Path, *, checkpoint: bool = False) -> None:
    """Download a model into a new or empty folder and check it, with `checkpoint` also the run of the model.

    Raises a `BundleError` if the hub has no such model, if it is damaged, or if the folder holds other files.
    """
    hub_id, folder = _check_id(hub_id), folder.absolute()  # "." has no name
    partial, exists = _check_folder(folder), folder.is_dir()
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)  # an error of the disk shows before the download
    snapshot = _download(hub_id, checkpoint=checkpoint)
    Bundle.open(snapshot)
    if checkpoint and not (snapshot / CHECKPOINT).is_dir():
        raise BundleError(_NO_CHECKPOINT.format(hub_id))
    shutil.copytree(snapshot, partial, ignore=None if checkpoint else shutil.ignore_patterns(CHECKPOINT))
    if not exists:
        partial.rename(folder)
        return
    for path in partial.iterdir():
        path.rename(folder / path.name)
    partial.rmdir()


def _check_folder(folder: Path) -> Path:
    """Return the folder in which a model for `folder` is put together; raise a `BundleError` if that has files."""
    exists = folder.is_dir()  # and is not replaced then: it may be the current one, or a mounted one
    partial = folder / ".looksay.partial" if exists else folder.with_name(f".{folder.name}.partial")
    if folder.is_file() or (exists and any(path != partial for path in folder.iterdir())):
        raise BundleError(f"{folder} is there already; name a new folder")
    return partial


def push(folder: Path, hub_id: str, *, private: bool = False, checkpoint: Mapping[str, Path | bytes] = {}) -> str:
    """Check and upload a model with a card that the hub can read, and return its address.

    A missing repository is created. `checkpoint` are files of the model's run, by name
    (`looksay.training.run_loader.shared`). Raises a `BundleError` if the bundle is damaged or the upload fails.
    """
    hub_id, hub = _check_id(hub_id), _import_client("Uploading to the hub")
    files = push_plan(folder, hub_id, checkpoint=checkpoint)
    try:
        api = hub.HfApi()
        address = api.create_repo(hub_id, private=private, exist_ok=True)
        operations = [hub.CommitOperationAdd(name, file) for name, file in files.items()]
        api.create_commit(hub_id, operations, commit_message=f"{Bundle.open(folder).spec.name}, by looksay")
    except Exception as error:  # as above
        reason = " ".join(str(error).split())
        raise BundleError(f"the hub does not take {folder} as {hub_id}: {reason}") from error
    return str(address)


def push_plan(folder: Path, hub_id: str, *, checkpoint: Mapping[str, Path | bytes] = {}) -> dict[str, Path | bytes]:
    """Return the files that `push` uploads, by name; raise a `BundleError` if the bundle is damaged."""
    hub_id, hub = _check_id(hub_id), _import_client("Uploading to the hub")
    spec, card = Bundle.open(folder).spec, folder / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {spec.name}\n"
    is_identifier = re.fullmatch(r"[a-z0-9.-]+", spec.licence.lower())  # the form of the licences that the hub knows
    metadata = hub.ModelCardData(
        library_name="looksay", pipeline_tag="image-to-text",
        tags=["image-captioning", "cnn", "lstm", "onnx", spec.encoder, spec.decoder],
        license=spec.licence.lower() if is_identifier else "other",
        license_name=None if is_identifier else spec.licence,
    )  # fmt: skip
    files: dict[str, Path | bytes] = {
        path.name: path for path in sorted(folder.iterdir()) if path.name in FILES or path.suffix == ".md"
    }
    files["README.md"] = f"---\n{metadata}\n---\n\n{text}".encode()
    return files | {f"{CHECKPOINT}/{name}": file for name, file in checkpoint.items()}


def _import_client(doing: str) -> Any:
    with needs(doing, "hub"):
        import huggingface_hub
    return huggingface_hub
