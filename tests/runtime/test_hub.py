"""Who names a model wants that one, or to hear what there is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import looksay
from looksay.runtime.hub import locate


def test_the_default_is_the_one_that_ships_even_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate() == locate("default") == Path(looksay.__file__).parent / "bundles" / "default"
    assert locate(tmp_path) == tmp_path
    assert locate(".") == Path()
    with pytest.raises(looksay.BundleError, match="it is no folder"):
        locate("../nowhere")


def test_a_wrong_name_is_told_what_ships() -> None:
    with pytest.raises(looksay.BundleError, match=r"no model 'defualt'.*\(default\)"):
        locate("defualt")


def test_a_hub_id_is_loaded_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is laid out as huggingface_hub lays it out; no network is used."""
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


def test_without_the_extra_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(looksay.MissingExtra, match=r"looksay\[hub\]"):
        locate("someone/captions")
