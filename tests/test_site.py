"""The documentation site has every page, and its links and images resolve."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

import looksay


def test_site_builds_and_its_links_resolve(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    build = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment)
    assert build.returncode == 0, build.stderr
    for page in (path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")):
        folder = page.parent if page.name == "README" else page
        assert (tmp_path / folder / "index.html").is_file()
    api = (tmp_path / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    assert "looksay.Captioner.__call__" in api
    for name in set(looksay.__all__) - {"__version__"}:
        assert re.search(rf'id="looksay\.(errors\.)?{name}"', api), name
    for page in tmp_path.rglob("*.html"):
        if page.name == "404.html":
            continue
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]+="https?://', text), page  # nothing comes from another host
        for link in re.findall(r'<[^>]+(?:src|href)="([^"#:]+)(?:#[^"]*)?"', text):
            target = page.parent / link
            assert target.is_file() or (target / "index.html").is_file(), f"{page}: {link}"
