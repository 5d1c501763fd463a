"""Who follows the docs should see what the docs say: their commands and their Python are run here."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import commands
import pytest
import recipe_tables
from click.testing import CliRunner
from conftest import EXAMPLES, ROOT

from looksay.cli.main import main
from looksay.metrics.diversity import MEANING
from looksay.training import recipe_file

SERVING = ROOT / "docs" / "guide" / "serve.md"  # its examples need a server: tests/web/test_guide.py
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("C*.md"), EXAMPLES / "README.md"])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_data: Path) -> Path:
    """A folder with what the examples speak of."""
    (tmp_path / "PATH" / "TO").mkdir(parents=True)
    (tmp_path / "PATH" / "TO" / "flickr8k").symlink_to(small_data)
    shutil.copy(EXAMPLES / "boats.jpg", tmp_path / "photo.jpg")
    shutil.copytree(EXAMPLES, tmp_path / "album")
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_id(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


@pytest.mark.parametrize("page", with_id([page for page in PAGES if blocks(page, "python") and page != SERVING]))
def test_the_python_of_a_page_runs(page: Path, desk: Path) -> None:
    exec(compile("\n".join(blocks(page, "python")), str(page), "exec"), {})  # noqa: S102


@pytest.mark.parametrize("page", with_id([page for page in PAGES if blocks(page, "sh") and page != SERVING]))
def test_the_commands_of_a_page_run(page: Path, desk: Path, small_bundle: Path) -> None:
    """All are run but training and export, which must have a recipe, keys and options that exist."""
    shutil.copytree(small_bundle, desk / "my-captioner")
    for line in "\n".join(blocks(page, "sh")).splitlines():
        command, _, _ = line.rpartition("| ")[2].partition("#")
        words = shlex.split(command)
        if words[:2] == ["looksay", "train"]:
            changes = [word for word in words[3:] if not word.startswith("--")]
            assert recipe_file.phases(Path(words[2]), changes)
        elif words[:2] == ["looksay", "export"]:
            assert CliRunner().invoke(main, ["export", "--help"]).exit_code == 0
            assert {word for word in words if word.startswith("--")} <= {"--int8", "--data"}
        elif "ray" in words:  # in a process of its own: a cluster outlives the command in this one
            subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
        elif words[:1] == ["looksay"]:
            piped = Path("photo.jpg").read_bytes() if words[-1] == "-" else None
            result = CliRunner().invoke(main, words[1:], input=piped)
            assert result.exit_code == 0, (line, result.output)
        else:
            assert words[:1] in (["make"], ["pip"], ["git"], ["cd"], ["python"], []), line


@pytest.mark.parametrize("page", with_id(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_tables_of_recipe_keys_are_fresh() -> None:
    text = recipe_tables.PAGE.read_text(encoding="utf-8")
    assert "| `epochs` | whole number | at least 0 | `10` |" in text
    assert text == recipe_tables.page(), "run: python tests/recipe_tables.py"


def test_every_make_target_in_the_docs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"^make ([\w-]+)", "\n".join(blocks(page, "sh")), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_figure_is_documented_as_the_report_says() -> None:
    text = (ROOT / "docs" / "reference" / "scores.md").read_text(encoding="utf-8")
    for name, meaning in MEANING.items():
        assert f"| {name} | {meaning}" in text, name


def test_the_page_of_commands_is_that_of_the_commands() -> None:
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), "run: python tests/commands.py"
