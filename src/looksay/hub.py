"""Names and hub ids → a local model folder."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from looksay.bundle import DECODER, ENCODER, MODEL, VOCABULARY
from looksay.errors import BundleError, MissingExtra

DEFAULT = "default"
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def locate(model: str | Path = DEFAULT) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    model : str or Path
        A folder; or the name of a model that ships with looksay (``default``); or a Hugging Face hub id
        (``owner/name``), which is downloaded once and then kept in the hub's cache.

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
    shipped = {path.name: path for path in (Path(str(resources.files("looksay"))) / "bundles").iterdir()}
    if model in shipped:
        return shipped[str(model)]
    if Path(model).is_dir():
        return Path(model)
    if isinstance(model, str) and _HUB_ID.fullmatch(model):
        return _download(model)
    names = ", ".join(sorted(shipped))
    raise BundleError(f"no model {str(model)!r}: it is no folder, no hub id (owner/name) and none that ships ({names})")


def _download(hub_id: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra(f"There is no folder {hub_id}; loading it from the hub", "hub") from error
    try:
        return Path(snapshot_download(hub_id, allow_patterns=[ENCODER, DECODER, VOCABULARY, MODEL, "*.md"]))
    except Exception as error:  # the hub's client raises errors of many libraries
        raise BundleError(f"no folder {hub_id}, and the hub has no model of that name to give: {error}") from error
