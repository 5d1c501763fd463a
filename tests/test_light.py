"""The base install captions photos without torch."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import httpx
import pytest
from conftest import EXAMPLES, ROOT
from serving import images, serving

PACKAGE = ROOT / "src" / "looksay"
SUFFIXES = {".py", ".typed", ".txt", ".toml", ".html", ".css", ".js", ".svg", ".json", ".onnx", ".md"}

CODE = """
import sys
import looksay
print(looksay.caption(sys.argv[1]))
heavy = {"torch", "torchvision", "timm", "lightning", "onnx", "matplotlib", "rich"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, as ``make dist`` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    build: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    return folder


@pytest.mark.slow
def test_the_distributions_hold_the_package_and_the_recipes_and_nothing_else(distributions: Path) -> None:
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions.iterdir())]
    subprocess.run(check, check=True, capture_output=True)
    (wheel,), (source,) = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    files = {path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*") if path.is_file()}
    files |= {Path("looksay/recipes", path.name) for path in (ROOT / "recipes").iterdir()}
    expected = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert {Path(name).suffix for name in names} <= SUFFIXES
    assert 20e6 < wheel.stat().st_size < 26e6
    with tarfile.open(source) as archive:
        top = {Path(name).parts[1] for name in archive.getnames() if len(Path(name).parts) > 1}
    assert top == {"src", "recipes", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", "pyproject.toml", ".gitignore"}


@pytest.mark.slow
def test_the_bare_wheel_captions_a_photo_without_torch(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    venv.create(tmp_path / "bare", with_pip=True)
    scripts = tmp_path / "bare" / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / "python"
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, capture_output=True)
    listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
    assert not {"torch", "timm", "onnx", "lightning"} & {line.split()[0] for line in listed.splitlines()}

    photo = str(EXAMPLES / "photographer.png")
    script = subprocess.run([python, "-c", CODE, photo], check=True, capture_output=True, text=True, cwd=tmp_path)
    shell = subprocess.run([scripts / "looksay", photo], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert script.stdout == shell.stdout
    assert script.stderr == shell.stderr == ""
    assert len(script.stdout.split()) >= 3

    for command, doing in (("train flickr8k", "Training"), ("serve", "Serving")):
        extra = command.split()[0].replace("serve", "web")
        missing = subprocess.run(
            [scripts / "looksay", *command.split()], check=False, capture_output=True, text=True, cwd=tmp_path
        )
        assert missing.returncode == 2
        assert missing.stderr == f'looksay: {doing} needs more than the base install: pip install "looksay[{extra}]"\n'

    subprocess.run([*install[:-1], f"{wheel}[web]"], check=True, capture_output=True)
    with serving(tmp_path, python=python) as server:
        answer = httpx.post(f"{server.url}/v1/captions", files=images(EXAMPLES / "photographer.png"))
        assert answer.json()["images"][0]["captions"][0]["text"] == script.stdout.strip()
        assert "Drop or paste" in httpx.get(server.url).text
