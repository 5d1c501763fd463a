"""Files of a run that comes from someone else run no code, and are refused in one line if damaged."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT

from looksay.cli.main import main

RECIPE = str(ROOT / "recipes" / "flickr8k.toml")


class _Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.file), "w")


def damaged(name: str, damage: str, small_run: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """A copy of a run with one damaged file, and a command that reads the file."""
    folder = Path(shutil.copytree(small_run, tmp_path / "run"))
    data = (folder / name).read_bytes()
    planted = pickle.dumps(_Planted(tmp_path / "planted"))
    (folder / name).write_bytes({"pickle": planted, "cut": data[: len(data) // 2], "empty": b""}[damage])
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("epochs = 8", "epochs = 9"), encoding="utf-8")
    if name == "best.safetensors":
        return folder / name, ["export", str(folder), str(tmp_path / "bundle")]
    return folder / name, ["train", RECIPE, f"training.run={folder}", "--resume"]


@pytest.mark.parametrize("damage", ["pickle", "cut", "empty"])
@pytest.mark.parametrize("name", ["checkpoints/last.ckpt", "best.safetensors", "vocabulary.json"])
def test_a_damaged_file_is_refused_in_one_line(name: str, damage: str, small_run: Path, tmp_path: Path) -> None:
    file, command = damaged(name, damage, small_run, tmp_path)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2, result.output
    assert str(file) in result.stderr.splitlines()[-1]
    assert not (tmp_path / "planted").exists()


def test_the_command_prints_no_traceback(small_run: Path, tmp_path: Path) -> None:
    file, command = damaged("checkpoints/last.ckpt", "pickle", small_run, tmp_path)
    result = subprocess.run([sys.executable, "-m", "looksay", *command], check=False, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert str(file) in result.stderr.splitlines()[-1]
    assert not (tmp_path / "planted").exists()
