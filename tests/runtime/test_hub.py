"""A model is found by its name, its folder or its hub id."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import looksay
from looksay.runtime import hub
from looksay.runtime.hub import locate


def test_the_default_is_the_shipped_model_even_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate() == locate("default") == Path(looksay.__file__).parent / "bundles" / "default"
    assert locate(tmp_path) == tmp_path
    assert locate(".") == Path()
    with pytest.raises(looksay.BundleError, match="use a folder"):
        locate("../nowhere")


def test_the_error_of_an_unknown_name_lists_the_shipped_models() -> None:
    with pytest.raises(looksay.BundleError, match=r"no model 'defualt'.*\(default\)"):
        locate("defualt")


def test_a_hub_id_is_loaded_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache has the layout of huggingface_hub; no network is used."""
    commit = "0" * 40
    home = tmp_path / "models--someone--captions"
    shutil.copytree(locate(), home / "snapshots" / commit)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commit, encoding="utf-8")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert locate("someone/captions").samefile(home / "snapshots" / commit)
    with pytest.raises(looksay.BundleError, match="the hub has no model of that name"):
        locate("someone/else")


def test_the_error_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(looksay.MissingExtra, match=r"looksay\[hub\]"):
        locate("someone/captions")


def test_a_model_is_pulled_into_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_download", lambda *_, **__: locate())
    interrupted = tmp_path / "mine" / ".looksay.partial"
    interrupted.mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    hub.pull("someone/captions", Path())
    hub.pull("someone/captions", Path("../other"))
    names = {path.name for path in locate().iterdir()}
    for folder in ("mine", "other"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == names
    with pytest.raises(looksay.BundleError, match="is there already; name a new folder"):
        hub.pull("someone/captions", Path())
    assert len(list(tmp_path.iterdir())) == 2
