"""Who reads the documentation as a site finds every page, every link and every image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def test_the_site_builds_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    told = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert told.returncode == 0, told.stderr
    wanted = [path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")]
    for page in wanted:
        where = page.parent if page.name == "README" else page
        assert (tmp_path / where / "index.html").is_file()
    for page in tmp_path.rglob("*.html"):
        if page.name == "404.html":
            continue
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]+="https?://', text), page  # nothing is loaded from elsewhere
        for link in re.findall(r'<[^>]+(?:src|href)="([^"#:]+)(?:#[^"]*)?"', text):
            target = page.parent / link
            assert target.is_file() or (target / "index.html").is_file(), f"{page}: {link}"
