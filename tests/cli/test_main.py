"""The main command: help and version."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import looksay
from looksay.cli.main import COMMANDS, main


def test_help_lists_all_commands() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert CliRunner().invoke(main, []).exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"\n  looksay {command}" in result.output
    assert "\\b" not in result.output


def test_version_is_that_of_the_package() -> None:
    assert looksay.__version__ in CliRunner().invoke(main, ["--version"]).output
