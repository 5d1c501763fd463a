"""The models command, against a local stand-in of the hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import standin
from click.testing import CliRunner
from conftest import EXAMPLES

from looksay.cli.main import main
from looksay.runtime.hub import shipped
from looksay.training import run_loader

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub() -> Iterator[standin.Hub]:
    with standin.running() as server:
        yield server


@pytest.fixture
def run(hub: standin.Hub, tmp_path: Path) -> Run:
    def run(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_me", "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-m", "looksay", *map(str, arguments)]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, env=os.environ | own | changes, cwd=tmp_path
        )

    return run


@pytest.mark.slow
def test_a_pushed_model_is_pulled_unchanged(hub: standin.Hub, run: Run, small_bundle: Path, tmp_path: Path) -> None:
    stderr = run("models", "push", small_bundle, "me/captions").stderr
    assert f"{hub.url}/me/captions; try: looksay PHOTO --model hf://me/captions" in stderr
    files = hub.repositories["me/captions"]
    assert set(files) == {"README.md", "CARD.md", "model.json", "encoder.onnx", "decoder.onnx", "vocabulary.json"}
    card = files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: looksay\nlicense: ")
    assert "\npipeline_tag: image-to-text\ntags:\n- image-captioning\n" in card
    assert card.endswith(files["CARD.md"].decode())

    hub.cut = "encoder.onnx"
    first = run("models", "pull", "me/captions", "mine")
    if first.returncode:  # the download broke off; the next one resumes it
        assert "Traceback" not in first.stderr
        assert not (tmp_path / "mine").exists()
        assert run("models", "pull", "me/captions", "mine").returncode == 0
    assert hub.cut == ""
    for name in set(files) - {"README.md"}:
        assert (tmp_path / "mine" / name).read_bytes() == files[name] == (small_bundle / name).read_bytes()
    assert not list(tmp_path.glob(".mine*"))

    photo = EXAMPLES / "boats.jpg"
    here = run(photo, "--model", small_bundle).stdout
    assert run(photo, "--model", "hf://me/captions").stdout == run(photo, "--model", "mine").stdout == here != ""
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:1"}
    assert run(photo, "--model", "hf://me/captions", **offline).stdout == here
    assert run("models", "pull", "me/captions", "mine").stderr.endswith("mine is there already; name a new folder\n")


@pytest.mark.slow
def test_the_shipped_model_is_pushed_and_pulled_whole(hub: standin.Hub, run: Run, tmp_path: Path) -> None:
    """With its tags and its confidence, which not every model has; a dry run lists the same files and moves nothing."""
    files = {path.name for path in shipped()["default"].iterdir()}
    assert run("models", "push", shipped()["default"], "captions", "--dry-run").returncode == 2  # no hub id
    listed = run("models", "push", shipped()["default"], "me/captions", "--dry-run")
    assert hub.repositories == {}
    assert {line.partition("\t")[0] for line in listed.stdout.splitlines()} == files | {"README.md"}
    assert listed.stderr == "looksay: would be uploaded to me/captions\n"

    assert run("models", "push", shipped()["default"], "me/captions").returncode == 0
    listed = run("models", "pull", "me/captions", "mine", "--dry-run")
    assert dict(line.split("\t") for line in listed.stdout.splitlines())["decoder.onnx"] == "13.575 MB"
    assert not (tmp_path / "mine").exists()
    assert run("models", "pull", "me/captions", "mine").returncode == 0
    assert {path.name for path in (tmp_path / "mine").iterdir()} == files
    photo = EXAMPLES / "cat.jpg"
    assert run(photo, "--model", "mine").stdout == run(photo).stdout != ""
    assert run("models", "pull", "me/captions", "mine", "--dry-run").stderr.endswith("name a new folder\n")


@pytest.mark.slow
def test_a_checkpoint_is_pushed_and_pulled(
    hub: standin.Hub, run: Run, small_bundle: Path, small_run: Path, tmp_path: Path
) -> None:
    assert run("models", "push", small_bundle, "me/captions", "--checkpoint", small_run).returncode == 0
    files = hub.repositories["me/captions"]
    shared = {name for name in files if name.startswith("checkpoint/")}
    assert shared == {f"checkpoint/{name}" for name in ("best.safetensors", "recipe.toml", "vocabulary.json")}
    assert str(small_run.parent).encode() not in files["checkpoint/recipe.toml"]

    assert run("models", "pull", "me/captions", "light").returncode == 0
    assert not (tmp_path / "light" / "checkpoint").exists()
    assert run("models", "pull", "me/captions", "mine", "--checkpoint").returncode == 0
    pulled, made = run_loader.load(tmp_path / "mine" / "checkpoint"), run_loader.load(small_run)
    assert pulled.vocabulary == made.vocabulary
    weights = made.model.state_dict()
    assert all(value.equal(weights[name]) for name, value in pulled.model.state_dict().items())
    assert run("models", "pull", "me/captions", "light", "--checkpoint").returncode == 2  # the folder exists
    del hub.repositories["me/captions"]
    run("models", "push", small_bundle, "me/plain")
    result = run("models", "pull", "me/plain", "other", "--checkpoint")
    assert (result.returncode, "has no checkpoint" in result.stderr) == (2, True)


@pytest.mark.slow
def test_damaged_and_missing_models_are_errors(hub: standin.Hub, run: Run, small_bundle: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(small_bundle, tmp_path / "broken"))
    (broken / "decoder.onnx").write_bytes(b"other")
    result = run("models", "push", broken, "me/broken")
    assert (result.returncode, "damaged or was altered" in result.stderr) == (2, True)
    assert hub.repositories == {}
    hub.repositories["me/broken"] = {file.name: file.read_bytes() for file in broken.iterdir()}
    hub.repositories["me/broken"]["weights.pkl"] = b"never fetched"
    result = run("models", "pull", "me/broken", "other")
    assert (result.returncode, "damaged or was altered" in result.stderr) == (2, True)
    assert not list(tmp_path.rglob("weights.pkl"))
    assert not list(tmp_path.glob("*other*"))
    for arguments, message in (
        (["pull", "me/none"], "no model of that name"),
        (["push", small_bundle, "me/captions"], "does not take"),
    ):
        result = run("models", *arguments, HF_TOKEN="hf_other")  # noqa: S106
        assert result.returncode == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_list_and_info_print_the_shipped_models() -> None:
    listed = CliRunner().invoke(main, ["models", "list"])
    assert [line.partition("\t")[0] for line in listed.stdout.splitlines()] == list(shipped())
    facts = json.loads(CliRunner().invoke(main, ["models", "info", "default"]).stdout)
    assert facts["encoder"] == "tf_efficientnet_lite1"
    assert facts["words"] > 1000


@pytest.mark.parametrize("folder", [".", "..", "/", "mine", "mine/file", "mine/file/new"])
def test_pulling_into_a_folder_with_files_is_an_error(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["models", "pull", "me/captions", folder])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert result.stderr.startswith("looksay: ")
