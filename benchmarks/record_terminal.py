"""Record a terminal session: run a few commands and draw what they print, as docs/terminal.svg.

python benchmarks/record_terminal.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
COMMANDS = (
    "looksay examples",
    "looksay examples/coffee.jpg --explain",
    "looksay caption examples --output photos.db --min-confidence 0.3",
    "looksay find photos.db --tag cat",
)
COLUMNS = 108


def main() -> None:
    """Run the commands in a copy of the examples and save the drawing."""
    # rich measures the text; its own output is not wanted here.
    with Path(os.devnull).open("w", encoding="utf-8") as nothing, tempfile.TemporaryDirectory() as folder:
        console = Console(record=True, width=COLUMNS, file=nothing)
        shutil.copytree(ROOT / "examples", Path(folder, "examples"))
        for command in COMMANDS:
            arguments = [sys.executable, "-m", *command.split()]
            result = subprocess.run(arguments, cwd=folder, text=True, check=True, capture_output=True)
            console.print(Text(f"$ {command}", style="bold green"))
            console.print(Text(result.stdout.expandtabs(30) + result.stderr))
        drawing = re.sub(
            r"@font-face \{.*?\}", "", console.export_svg(title="looksay"), flags=re.DOTALL
        )  # of other hosts
        (ROOT / "docs" / "terminal.svg").write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
