"""The base install captions photos without torch."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import httpx
import pytest
from conftest import EXAMPLES, ROOT
from serving import images, serving

CODE = """
import sys
import looksay
print(looksay.caption(sys.argv[1]))
heavy = {"torch", "torchvision", "timm", "lightning", "onnx", "matplotlib", "rich"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.slow
def test_the_bare_wheel_captions_a_photo_without_torch(tmp_path: Path) -> None:
    build: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size <= 32 * 2**20
    names = zipfile.ZipFile(wheel).namelist()
    assert {"looksay/bundles/default/model.json", "looksay/recipes/show-and-tell.toml"} <= set(names)

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
