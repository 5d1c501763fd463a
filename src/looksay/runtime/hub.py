"""Model names and hub ids → a local model folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from looksay.errors import BundleError, MissingExtra
from looksay.runtime.bundle import CARD, DEFAULT, FILES, SHIPPED, Bundle

SCHEME = "hf://"
"""Optional before a hub id; needed if a folder has the same name."""

CHECKPOINT = "checkpoint"
"""The folder in a hub repository with the checkpoint of the run, if its owner shares it."""

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def locate(model: str | Path = DEFAULT) -> Path:
    """Return the folder of a model, given as folder, name of a model that ships with looksay (``default``) or hub id.

    A Hugging Face hub id (``owner/name`` or ``hf://owner/name``) is downloaded once into the hub's cache. Raises a
    `BundleError` if there is no such model, and `MissingExtra` if a hub id needs ``huggingface_hub``.
    """
    if isinstance(model, str) and model.startswith(SCHEME) and _HUB_ID.fullmatch(model.removeprefix(SCHEME)):
        return Path(_download(model.removeprefix(SCHEME)))
    bundled = shipped()
    if model in bundled:
        return bundled[str(model)]
    if Path(model).is_dir():
        return Path(model)
    if isinstance(model, str) and _HUB_ID.fullmatch(model):
        return Path(_download(model))
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


def _download(hub_id: str, checkpoint: bool = False, **options: Any) -> Any:
    """Return the folder of a model in the hub's cache, or the answer of ``huggingface_hub`` to other options."""
    hub = _import_client(f"There is no folder {hub_id}; loading it from the hub")
    names = [*FILES, f"{CHECKPOINT}/*"] if checkpoint else [*FILES]
    try:
        return hub.snapshot_download(hub_id, allow_patterns=names, **options)
    except Exception as error:  # the hub's client raises errors of many libraries
        reason = str(error).partition("\n")[0]
        raise BundleError(
            f"no folder {hub_id}, and the hub has no model of that name or cannot be reached: {reason}"
        ) from error


def pull_plan(hub_id: str, folder: Path, *, checkpoint: bool = False) -> dict[str, int]:
    """Return the bytes that `pull` would download, by file; those that the hub's cache has count 0.

    Raises a `BundleError` if the hub has no such model, or if the folder holds other files.
    """
    _check_folder(folder.absolute())
    files = _download(_check_id(hub_id), checkpoint, dry_run=True)
    return {file.filename: file.file_size if file.will_download else 0 for file in files}


def pull(hub_id: str, folder: Path, *, checkpoint: bool = False) -> None:
    """Download a model into a new or empty folder and check it, with `checkpoint` also the run of the model.

    Raises a `BundleError` if the hub has no such model, if it is damaged, or if the folder holds other files.
    """
    hub_id, folder = _check_id(hub_id), folder.absolute()  # "." has no name
    partial, exists = _check_folder(folder), folder.is_dir()
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)  # an error of the disk shows before the download
    snapshot = Path(_download(hub_id, checkpoint))
    Bundle.open(snapshot)
    if checkpoint and not (snapshot / CHECKPOINT).is_dir():
        raise BundleError(f"{hub_id} has no checkpoint to start training from; pull the model alone")
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


def pushed_files(folder: Path) -> list[Path]:
    """Return the files of a bundle that `push` uploads; raise a `BundleError` if the bundle is damaged."""
    Bundle.open(folder)
    return [path for path in sorted(folder.iterdir()) if path.name in FILES or path.suffix == ".md"]


def push(folder: Path, hub_id: str, *, private: bool = False, checkpoint: Mapping[str, Path | bytes] = {}) -> str:
    """Check and upload a model with a card that the hub can read, and return its address.

    A missing repository is created. `checkpoint` are files of the model's run, by name
    (`looksay.training.run_loader.shared`). Raises a `BundleError` if the bundle is damaged or the upload fails.
    """
    hub_id, hub = _check_id(hub_id), _import_client("Uploading to the hub")
    bundle = Bundle.open(folder)
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {bundle.spec.name}\n"
    tags = ["image-captioning", "cnn", "lstm", "onnx", bundle.spec.encoder, bundle.spec.decoder]
    licence = bundle.spec.licence
    is_identifier = re.fullmatch(r"[a-z0-9.-]+", licence.lower())  # the form of the licences that the hub knows
    metadata = hub.ModelCardData(
        library_name="looksay", pipeline_tag="image-to-text", tags=tags,
        license=licence.lower() if is_identifier else "other", license_name=None if is_identifier else licence,
    )  # fmt: skip
    api = hub.HfApi()
    try:
        address = api.create_repo(hub_id, private=private, exist_ok=True)
        operations = [hub.CommitOperationAdd(path.name, path) for path in pushed_files(folder)]
        operations.append(hub.CommitOperationAdd("README.md", f"---\n{metadata}\n---\n\n{text}".encode()))
        operations += [hub.CommitOperationAdd(f"{CHECKPOINT}/{name}", file) for name, file in checkpoint.items()]
        api.create_commit(hub_id, operations, commit_message=f"{bundle.spec.name}, by looksay")
    except Exception as error:  # as above
        reason = " ".join(str(error).split())
        raise BundleError(f"the hub does not take {folder} as {hub_id}: {reason}") from error
    return str(address)


def _import_client(doing: str) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtra(doing, "hub") from error
    return huggingface_hub
