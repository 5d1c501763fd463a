"""Who types ``looksay --help`` sees what works, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

import looksay
from looksay.cli.main import _COMMANDS, main


def test_help_lists_the_doors_that_open() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    assert all(f"\n  {name} " in text for name in _COMMANDS)
    assert CliRunner().invoke(main, []).exit_code == 2


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_door_has_help_with_examples(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"\n  looksay {command}" in result.output
    assert "\\b" not in result.output


def test_the_version_is_the_packages() -> None:
    assert looksay.__version__ in CliRunner().invoke(main, ["--version"]).output


def test_help_is_fast_because_nothing_heavy_is_loaded() -> None:
    code = "import sys; from looksay.cli.main import main\ntry: main(['train', '--help'])\nfinally: print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "torch", "onnxruntime"} & set(loaded)
