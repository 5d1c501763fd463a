"""Write the table of settings into docs/guide/serve.md: python tests/server/settings_table.py."""

from __future__ import annotations

import re
from pathlib import Path

import click

from looksay.cli.serve import serve
from looksay.option_fields import declared
from looksay.server.settings import ServerSettings

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guide" / "serve.md"
_HEAD = "| option | default | range | |\n|---|---|---|---|\n"


_WORDS = {"ge": "at least", "gt": "above"}


def _number(value: float) -> str:
    return f"{value:,}" if value >= 100_000 else f"{value:g}"


def table() -> str:
    """Return the table of all settings, in Markdown."""
    flags = {parameter.name: parameter for parameter in serve.params if isinstance(parameter, click.Option)}
    rows = []
    for setting in declared(ServerSettings):
        flag, environment = f"`{flags[setting.name].opts[0]}`", flags[setting.name].envvar
        default = _number(setting.default) if isinstance(setting.default, int | float) else setting.default or "none"
        bounds = {name: _number(bound) for name, bound in setting.bounds.items()}
        limits = f"{bounds['ge']} to {bounds['le']}" if "le" in bounds else ""
        limits = limits or "".join(f"{_WORDS[name]} {bound}" for name, bound in bounds.items())
        name = f"{flag}, `{environment}`" if environment else flag
        rows.append(f"| {name} | {default} | {limits} | {setting.help} |\n")
    return _HEAD + "".join(rows)


def with_table(text: str) -> str:
    """Return the guide with the current table in place of its own."""
    return re.sub(rf"{re.escape(_HEAD)}(\|.*\n)*", lambda _: table(), text)


if __name__ == "__main__":
    GUIDE.write_text(with_table(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
