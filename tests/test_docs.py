"""The documentation is correct: its code runs, its links, paths and figures exist, and its language is plain."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import commands
import pytest
import recipe_tables
from click.testing import CliRunner
from conftest import EXAMPLES, ROOT

import looksay
from looksay.cli.main import main
from looksay.metrics.diversity import MEANING
from looksay.models.caption_model import DECODERS
from looksay.training import recipe_file

PACKAGE = ROOT / "src" / "looksay"
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
CONCEPTS = ROOT / "docs" / "concepts"
SERVER_PAGES = [ROOT / "docs" / "guide" / name for name in ("serve.md", "clients.md")]  # see tests/server/test_guide.py
PAGES = sorted([README, *(ROOT / "docs").rglob("*.md"), *ROOT.glob("C*.md"), EXAMPLES / "README.md"])
OFFLINE_PAGES = [page for page in PAGES if page not in SERVER_PAGES]

WORDS = {
    r"pictures?": "image",
    r"people['’]s (?:own )?captions": "references",
    r"own captions": "sampled captions",
    r"(?:go|goes|going|gone|went) on with": "resume",
    r"anew": "again, overwrite",
    r"sure of": "confidence, confidently detected",
    r"asked for": "required, requested",
    r"of drawing": "seed for sampling",
    r"so many": "at most N, this number of",
    r"likeliest": "most probable",
    r"said": "generated, in_caption",
    r"told": "reported, logged",
    r"would say": "soft targets",
    r"never says?": "block, bad_words",
    r"says? no": "block",
    r"by heart": "overfit",
    r"luck": "uniforms",
    r"wish(?:es)?": "constraints",
    r"speaker": "output layer",
    r"journals?": "checkpoint",
    r"begun": "started, resumable",
    r"broken[- ]off|breaks? off": "interrupted",
    r"n_best|max_words|min_words|length_exponent|no_echo|--n-best|--max-words": "the names of transformers",
    r"(?:nets|train|web)/\w+\.(?:py|txt)": "models/, training/, server/",
}
"""Words that the project does not use (regular expressions, in any case), and what to write instead."""
NAMES = {"said", "told", "found", "each", "of_one", "luck", "begun"}
"""Names that say nothing of what a variable or function holds or does."""
TEXTS = sorted(
    [
        *PAGES,
        *(ROOT / name for name in ("CITATION.cff", "mkdocs.yml", "pyproject.toml")),
        *(
            path
            for folder in (PACKAGE, ROOT / "recipes", ROOT / "notebooks")
            for path in folder.rglob("*")
            if path.suffix in {".py", ".toml", ".html", ".js", ".css", ".ipynb"}
        ),
    ]
)


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_lines(page: Path) -> list[str]:
    """Return the shell commands of a page, without comments and empty lines."""
    lines = (line.partition("#")[0].strip() for line in "\n".join(blocks(page, "sh")).splitlines())
    return [line for line in lines if line]


def is_slow(line: str) -> bool:
    """Return whether a command measures for seconds or starts a cluster."""
    return line.startswith("looksay bench") or "--engine ray" in line


def parameters(paths: list[Path]) -> list[object]:
    """Return pytest parameters whose ids are paths in the repository."""
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_data: Path) -> Path:
    """A working folder with the files that the examples name."""
    (tmp_path / "PATH" / "TO").mkdir(parents=True)
    (tmp_path / "PATH" / "TO" / "flickr8k").symlink_to(small_data)
    shutil.copy(EXAMPLES / "boats.jpg", tmp_path / "photo.jpg")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text('<img src="../photo.jpg">', encoding="utf-8")
    for folder in ("album", "examples"):
        (tmp_path / folder).mkdir()
        for path in EXAMPLES.glob("*.[jp][pn]g"):
            shutil.copy(path, tmp_path / folder)
    shutil.copytree(PACKAGE / "bundles" / "default", tmp_path / "my-captioner")
    for folder in ("recipes", "docs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", parameters([page for page in OFFLINE_PAGES if blocks(page, "python")]))
@pytest.mark.usefixtures("workspace")
def test_python_code_runs(page: Path) -> None:
    exec(compile("\n".join(blocks(page, "python")), str(page), "exec"), {})  # noqa: S102


@pytest.mark.parametrize("page", parameters([page for page in OFFLINE_PAGES if shell_lines(page)]))
@pytest.mark.usefixtures("workspace")
def test_commands_run(page: Path) -> None:
    """Training and export commands are not run: their recipe, keys and options must exist."""
    for line in shell_lines(page):
        words = shlex.split(line.rpartition("| ")[2])
        if is_slow(line) or words[:2] == ["looksay", "serve"]:  # tests/server/ starts the server
            continue
        if words[:2] == ["looksay", "train"]:
            assert recipe_file.phases(Path(words[2]), [word for word in words[3:] if not word.startswith("--")])
        elif words[:2] == ["looksay", "export"]:
            assert {word for word in words if word.startswith("--")} <= {"--int8", "--data"}
        elif words[0] == "looksay":
            if words[1] in {"evaluate", "score"}:
                words.append("--no-meteor")  # tests/metrics/test_java.py starts Java
            piped = Path("photo.jpg").read_bytes() if words[-1] == "-" else None
            result = CliRunner().invoke(main, words[1:], input=piped)
            assert result.exit_code == 0, (line, result.output)
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), line
        else:
            assert words[0] in {"make", "pip", "git", "cd"}, line


@pytest.mark.slow
@pytest.mark.parametrize("page", parameters([page for page in PAGES if any(map(is_slow, shell_lines(page)))]))
@pytest.mark.usefixtures("workspace")
def test_slow_commands_run(page: Path) -> None:
    for line in filter(is_slow, shell_lines(page)):
        subprocess.run([sys.executable, "-m", *shlex.split(line)], check=True, capture_output=True)


@pytest.mark.usefixtures("workspace")
def test_readme_shows_the_captions_of_the_examples() -> None:
    printed = CliRunner().invoke(main, ["examples"]).stdout.splitlines()
    shown = blocks(README, "text")[0].splitlines()
    assert [line.split("\t")[0] for line in printed] == [line.split("\t")[0] for line in shown]
    # int8 arithmetic differs between kinds of CPU and can change a word.
    assert sum(line in shown for line in printed) >= 3, printed


def test_the_gallery_shows_the_captions_of_the_shipped_model() -> None:
    page = ROOT / "docs" / "gallery.md"
    rows = re.findall(r"^\| !\[.*?\]\((.*?)\) \| (.*?) \| (\d+) % \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    model = looksay.load()
    captions = [model(page.parent / photo) for photo, *_ in rows]
    # int8 arithmetic differs between kinds of CPU, as above.
    same = [caption for caption, (_, text, _) in zip(captions, rows, strict=True) if str(caption) == text]
    assert len(same) >= 0.8 * len(rows) > 0, captions
    for caption, (_, text, percent) in zip(captions, rows, strict=True):
        assert str(caption) != text or abs(100 * (caption.confidence or 0) - int(percent)) < 5


def test_the_gallery_counts_its_wrong_captions() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    rows = [(int(percent) > 30, verdict) for percent, verdict in re.findall(r"\| (\d+) % \| (\w+)", text)]
    sentence = re.search(
        r"Of the (\w+) captions above 30 %, (\w+) (?:is|are) wrong; of the (\w+) below it, (\w+)", text
    )
    assert sentence
    numbers = "none one two three four five six seven eight nine ten eleven twelve".split()
    above, below = ([verdict for is_above, verdict in rows if is_above == kind] for kind in (True, False))
    counts = (len(above), above.count("wrong"), len(below), below.count("wrong"))
    assert sentence.groups() == tuple(numbers[count] for count in counts)


@pytest.mark.parametrize("page", parameters(PAGES))
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"(?:\]\(|src=\")(?!https?:)([^)#\"]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", parameters([page for page in PAGES if page.name != "CHANGELOG.md"]))
def test_named_files_exist(page: Path) -> None:
    for name in re.findall(r"`((?:\w+/)+\w+\.(?:py|txt|md))`", page.read_text(encoding="utf-8")):
        assert (PACKAGE / name).is_file() or (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", parameters(PAGES))
def test_named_tests_exist(page: Path) -> None:
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)


def test_the_code_of_each_decoder_is_that_of_its_module() -> None:
    sections = (CONCEPTS / "decoders.md").read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(sections) == len(DECODERS)
    for section in sections:
        (module,) = re.findall(r"`(models/\w+\.py)`", section)
        (code,) = re.findall(r"^```py\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        assert textwrap.indent(code, "        ") in (PACKAGE / module).read_text(encoding="utf-8"), module


@pytest.mark.parametrize("page", parameters(PAGES))
def test_named_options_exist(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    reference = commands.PAGE.read_text(encoding="utf-8")
    for code in re.findall(r"`((?:--|looksay )[^`\n]+)`", prose):
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code):
            assert re.search(rf"{option}(?![\w-])", reference), option


def test_contributing_lists_the_repository() -> None:
    root, package = (
        set(re.findall(r"^[├└]── (\S+)", block, re.MULTILINE))
        for block in blocks(CONTRIBUTING, "text")
        if "── " in block
    )
    assert all((ROOT / name).exists() for name in root)
    assert root >= {"src/", "tests/", "recipes/", "docs/", "notebooks/", "benchmarks/", "examples/", "Makefile"}
    entries = {f"{path.name}/" if path.is_dir() else path.name for path in PACKAGE.iterdir()}
    assert package == entries - {"__pycache__/", "py.typed"}


@pytest.mark.parametrize("page", parameters([README, CONCEPTS / "quality.md", CONCEPTS / "speed.md"]))
def test_figures_of_tables_are_in_the_results(page: Path) -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    figures = re.compile(r"(?<![\d.])\d+\.\d+(?![\d.])")
    assert set(figures.findall("\n".join(rows))) <= set(figures.findall(results))


def texts_with_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers; of a notebook the sources of its cells, without outputs."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    yield from enumerate(text.splitlines(), 1)


@pytest.mark.parametrize("path", parameters(TEXTS))
def test_language_is_plain(path: Path) -> None:
    pattern = re.compile("|".join(rf"(?<![\w-])(?:{word})(?!\w)" for word in WORDS), re.IGNORECASE)
    assert not [f"{number}: {line.strip()}" for number, line in texts_with_lines(path) if pattern.search(line)]


@pytest.mark.parametrize("path", parameters([path for path in TEXTS if path.suffix == ".py"]))
def test_names_are_plain(path: Path) -> None:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append((node.lineno, node.id))
        elif isinstance(node, ast.arg):
            names.append((node.lineno, node.arg))
        elif isinstance(node, ast.FunctionDef):
            names.append((node.lineno, node.name))
    assert not [f"{number}: {name}" for number, name in names if name.strip("_") in NAMES]


def test_the_tables_of_recipe_keys_are_fresh() -> None:
    text = recipe_tables.PAGE.read_text(encoding="utf-8")
    assert text == recipe_tables.page(), "run: python tests/recipe_tables.py"


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_figures_of_a_report_are_documented() -> None:
    text = (ROOT / "docs" / "reference" / "scores.md").read_text(encoding="utf-8")
    for name, meaning in MEANING.items():
        assert f"| {name} | {meaning}" in text, name


def test_reference_of_commands_is_current() -> None:
    assert commands.PAGE.read_text(encoding="utf-8") == commands.page(), "run: python tests/commands.py"
