"""The train and export commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import EXAMPLES, ROOT, TINY

from looksay.cli.main import main

RECIPE = ROOT / "recipes" / "flickr8k.toml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_train_export_caption(small_data: Path, tmp_path: Path) -> None:
    folder, bundle = tmp_path / "run", tmp_path / "bundle"
    changes = [*TINY, f"data.folder={small_data}", f"training.run={folder}", "training.epochs=1"]
    trained = run("train", RECIPE, *changes)
    assert trained.exit_code == 0, trained.output
    assert trained.stdout == ""
    assert f"export it with looksay export {folder} BUNDLE" in trained.stderr
    exported = run("export", folder, bundle, "--int8")
    assert exported.exit_code == 0, exported.output
    assert run(EXAMPLES / "alps.jpg", "--model", bundle).exit_code == 0


def test_user_errors_end_with_2_and_one_line(tmp_path: Path) -> None:
    for arguments, message in (
        (["train", tmp_path / "none.toml"], "does not exist"),
        (["train", RECIPE, "training.epoch=1"], "training.epoch is unknown"),
        (["train", RECIPE, "encoder.weights=random", f"data.folder={tmp_path / 'none'}"], "no such folder"),
        (["export", tmp_path, tmp_path / "bundle"], "is not a run"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
        assert message in result.stderr
