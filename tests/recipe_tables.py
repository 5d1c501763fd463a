"""The tables of docs/reference/recipes.md: ``python tests/recipe_tables.py`` writes them from the declared keys."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from looksay.option_fields import Option, range_of
from looksay.training.recipe import toml_value
from looksay.training.recipe_file import SECTIONS
from looksay.training.sections import declared_keys

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "recipes.md"
START = "<!-- keys: written by python tests/recipe_tables.py -->\n"
END = "<!-- end of keys -->\n"


def page() -> str:
    """Return the page with its tables from the declared keys, and its other text as it is."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return before + START + "".join(_sections()) + "\n" + END + after


def _sections() -> Iterator[str]:
    for name, kind in SECTIONS.items():
        title = "mixture.NAME" if name == "mixture" else name
        text = inspect.cleandoc(kind.__doc__)
        if name == "decoding":
            text = "Decoding of val captions, and the defaults of the exported model."
        yield f"\n## [{title}]\n\n{text.replace('``', '`')}\n\n"
        yield "| key | type | range | default | |\n|---|---|---|---|---|\n"
        for key in declared_keys(kind).values():
            yield f"| `{key.name}` | {_type(key.type)} | {_range(key)} | `{toml_value(key.default)}` | {key.help} |\n"


def _type(kind: Any) -> str:
    names = {"Literal": "text", "tuple": "list of texts", "int": "whole number", "float": "number", "bool": "boolean"}
    origin = "Literal" if get_origin(kind) is Literal else (get_origin(kind) or kind).__name__
    return names.get(origin, "text")


def _range(key: Option) -> str:
    if get_origin(key.type) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(key.type))
    return range_of(key).removeprefix("use ").removeprefix("a value ") if key.bounds else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
