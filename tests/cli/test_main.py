"""The main command: help and version."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import looksay
from looksay import data
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


@pytest.mark.parametrize("command", ["caption", "data", "evaluate", "score", "bench", "compare", "export"])
def test_every_command_hints_at_how_to_name_a_file_that_begins_with_a_dash(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-dash.jpg").touch()
    result = CliRunner().invoke(main, [command, "-dash.jpg"])
    assert result.exit_code == 2
    assert result.stderr.startswith("looksay: No such option '-d'.")
    assert result.stderr.endswith("To name the file -dash.jpg, write ./-dash.jpg, or -- before the paths.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no command and no image 'nothing'; see looksay --help"),
        (["fnd"], "there is no command and no image 'fnd'; did you mean find; see looksay --help"),
        (["x.jpg", "--workers", "2"], "--workers needs --engine ray"),
        (["score"], "Missing argument 'PREDICTIONS'. See main score --help."),
        (["caption", "x.jpg", "--num-beams", "0"], "Invalid value for '--num-beams': 0 is not in the range 1<=x<=100."),
        (["evaluate", "default", "--data", "none"], "none: no such folder or file; name the data set"),
        (["models", "pull", "owner"], "'owner' is not a hub id: use owner/name"),
    ],
)
def test_an_error_of_any_kind_is_one_line_after_the_programs_name(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"looksay: {message}")
    assert len(result.stderr.splitlines()) == 1


def test_ctrl_c_is_one_line_and_the_exit_code_that_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "read", interrupt)
    result = CliRunner().invoke(main, ["data", "folder"])
    assert (result.exit_code, result.stderr) == (130, "looksay: interrupted\n")


def test_ctrl_c_during_an_import_is_no_error_of_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr(data, "read", interrupt)
    result = CliRunner().invoke(main, ["data", "x"])
    assert (result.exit_code, result.stderr) == (130, "looksay: interrupted\n")


def test_version_is_that_of_the_package() -> None:
    assert looksay.__version__ in CliRunner().invoke(main, ["--version"]).output
