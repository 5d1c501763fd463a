"""The examples of the server's guides run against a real server, and the table of settings is up to date."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, ROOT
from playwright._impl._driver import compute_driver_executable
from serving import Server
from settings_table import table, with_table
from test_docs import blocks

import looksay
from looksay.cli.main import main

GUIDE = ROOT / "docs" / "guide" / "serve.md"
CLIENTS = ROOT / "docs" / "guide" / "clients.md"


@pytest.fixture
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(EXAMPLES / "boats.jpg", tmp_path / "photo.jpg")
    shutil.copytree(EXAMPLES, tmp_path / "album")
    monkeypatch.chdir(tmp_path)


def examples(language: str, server: Server, guide: Path = GUIDE) -> str:
    code = "\n".join(blocks(guide, language))
    assert "http://127.0.0.1:8000" in code
    return code.replace("http://127.0.0.1:8000", server.url)


@pytest.mark.usefixtures("_desk")
@pytest.mark.skipif(not shutil.which("curl"), reason="no curl on this machine")
def test_curl(server: Server) -> None:
    lines = [line for line in examples("bash", server).splitlines() if line.startswith("curl")]
    expected = (looksay.caption("photo.jpg", num_beams=5), looksay.caption("photo.jpg"), looksay.load().name)
    for line, text in zip(lines, expected, strict=True):
        command = ["bash", "-c", f"{line} -s --fail"]
        response = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert text in response


@pytest.mark.usefixtures("_desk")
def test_python(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(examples("python", server), str(GUIDE), "exec"), {})  # noqa: S102
    assert looksay.caption("photo.jpg", num_captions=3) in capsys.readouterr().out


@pytest.mark.usefixtures("_desk")
def test_other_programs(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(examples("python", server, CLIENTS), str(CLIENTS), "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.splitlines() == 2 * [looksay.caption("photo.jpg")]


@pytest.mark.usefixtures("_desk")
def test_javascript(server: Server, tmp_path: Path) -> None:
    (tmp_path / "example.mjs").write_text(examples("js", server), encoding="utf-8")
    node = shutil.which("node") or compute_driver_executable()[0]
    run = subprocess.run([node, "example.mjs"], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == looksay.caption("photo.jpg", num_captions=3)


def test_the_options_in_the_guide_exist() -> None:
    flags = {word for block in blocks(GUIDE, "sh") for word in block.split() if word.startswith("--")}
    help_text = CliRunner().invoke(main, ["serve", "--help"]).output
    assert flags
    assert all(f"  {flag} " in help_text for flag in flags)


def test_the_table_of_settings_is_up_to_date() -> None:
    """If not: python tests/server/settings_table.py."""
    text = GUIDE.read_text(encoding="utf-8")
    assert table() in text
    assert with_table(text) == text
