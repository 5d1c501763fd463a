"""What the site takes along from beside docs/, so that links which are right in the repository are right there, too."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
TAKEN = [
    "benchmarks/RESULTS.md",
    "compose.yaml",
    *(f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.*")),
]
_OUT = re.compile(r"\]\((?P<up>(?:\.\./)+)(?=(?:benchmarks|notebooks|compose\.yaml))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files."""
    for name in TAKEN:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point to them: in the site they lie in docs/ and not beside it."""
    if page.file.src_uri.startswith("benchmarks/"):
        return markdown.replace("](../docs/", "](../")
    return _OUT.sub(lambda link: "](" + link["up"].removeprefix("../"), markdown)
