"""Hooks of mkdocs: add the files outside docs/ that pages link to, and rewrite these links."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LINKED = [
    "benchmarks/RESULTS.md",
    "benchmarks/captions/README.md",
    "compose.yaml",
    *(f"{folder}/{path.name}" for folder in ("examples", "notebooks") for path in (ROOT / folder).glob("*.*")),
]
_OUTSIDE = re.compile(r"\]\((?P<up>(?:\.\./)+)(?=(?:benchmarks|examples|notebooks|compose\.yaml))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the linked files to the site."""
    for name in LINKED:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Rewrite links to these files: in the site they are inside docs/, in the repository beside it."""
    if page.file.src_uri.startswith(("benchmarks/", "examples/")):
        return markdown.replace("](../docs/", "](../")
    return _OUTSIDE.sub(lambda link: "](" + link["up"].removeprefix("../"), markdown)
