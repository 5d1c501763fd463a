"""Every command's ``--help`` as one page: ``python tests/commands.py`` writes docs/reference/commands.md anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from looksay.cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "commands.md"


def helps(command: click.Command, *words: str) -> Iterator[str]:
    """Yield sections, a command before those below it."""
    text = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*words, "--help"], prog_name="looksay").stdout
    yield f"## looksay {' '.join(words)}".rstrip() + f"\n\n```text\n{text.rstrip()}\n```\n"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from helps(below, *words, name)


def page() -> str:
    """Return the page."""
    return "# Commands\n\nWritten by `python tests/commands.py` from the commands themselves.\n\n" + "\n".join(
        helps(main)
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
