"""Who gets a run from someone else runs no code of theirs."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

RECIPE = str(ROOT / "recipes" / "flickr8k.toml")


class _Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.file), "w")


@pytest.mark.parametrize("damage", ["pickle", "cut", "empty"])
@pytest.mark.parametrize("name", ["last.ckpt", "best.safetensors", "vocabulary.json"])
def test_a_planted_or_damaged_file_is_refused_in_one_line(
    name: str, damage: str, small_run: Path, tmp_path: Path
) -> None:
    folder, trap = Path(shutil.copytree(small_run, tmp_path / "run")), tmp_path / "trap"
    data = (folder / name).read_bytes()
    broken = {"pickle": pickle.dumps(_Planted(trap)), "cut": data[: len(data) // 2], "empty": b""}[damage]
    (folder / name).write_bytes(broken)
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("epochs = 8", "epochs = 9"), encoding="utf-8")
    if name == "best.safetensors":
        command = ["export", str(folder), str(tmp_path / "bundle")]
    else:
        command = ["train", RECIPE, f"training.run={folder}", "--resume"]
    result = subprocess.run([sys.executable, "-m", "looksay", *command], check=False, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert str(folder / name) in result.stderr.splitlines()[-1]
    assert not trap.exists()
