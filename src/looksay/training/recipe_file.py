"""A recipe's TOML file → `Recipe`, or one for each of its phases; ``section.key=value`` overrides a key."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import reduce
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from looksay.errors import RecipeError
from looksay.option_fields import range_of
from looksay.training.recipe import Recipe, toml_value
from looksay.training.sections import MixedOptions, declared_keys

SECTIONS: dict[str, Any] = {
    section.name: MixedOptions if section.name == "mixture" else section.default_factory for section in fields(Recipe)
}
"""The class of each section; of ``mixture`` that of its subsections."""

_RECIPE = TypeAdapter(Recipe)
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", tuple: "a list of texts"}


def load(file: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe without phases.

    Parameters
    ----------
    file : str or Path
        A TOML file, or the name of a recipe that ships with looksay: ``show-and-tell``.
    changes : sequence of str
        Overrides, each ``section.key=value`` with the value as in TOML or as a bare word.

    Raises
    ------
    RecipeError
        If the file is missing or broken or has phases, or if a section, a key or a value is wrong: with the file, the
        line, the key, the value and what is allowed.
    """
    recipes = phases(file, changes)
    if len(recipes) > 1:
        raise RecipeError(f"{file} has {len(recipes)} phases: run them one after another with looksay train")
    return recipes[0]


def phases(file: str | Path, changes: Sequence[str] = ()) -> list[Recipe]:
    """Read a recipe: one for each of its ``[[phases]]``, or the recipe itself if it has none.

    A phase has a name, and sections with the keys that differ from the recipe's. Its run is the folder of that name
    below ``training.run``. ``training.start`` and ``distillation.teachers`` may name earlier phases. Overrides apply to
    all phases. The arguments and errors are those of `load`.
    """
    text = _read(file)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{file} is not valid TOML: {error}") from error
    parts = table.pop("phases", None)
    if parts is None:
        with _located(file, text, changes):
            return [_build(table, changes)]
    if not (isinstance(parts, list) and parts and all(isinstance(part, dict) and "name" in part for part in parts)):
        raise RecipeError(f"{file}: a phase has no name: write each as [[phases]] with a name")
    runs: dict[str, str] = {}
    recipes: list[Recipe] = []
    for index, part in enumerate(parts):
        name = str(part.pop("name"))
        if name in runs or name in ("", "..") or Path(name).name != name:
            raise RecipeError(f"{file}: phase name {name!r} is used twice or is not a folder name: choose another name")
        merged = {section: _merge(table.get(section, {}), part.get(section, {})) for section in table | part}
        with _located(file, text, changes, phase=name, index=index):
            recipe = _build(merged, changes)
        run = f"{recipe.training.run}/{name}"
        start = tuple(runs.get(earlier, earlier) for earlier in recipe.training.start)
        teachers = tuple(runs.get(earlier, earlier) for earlier in recipe.distillation.teachers)
        recipes.append(recipe.replace(training={"run": run, "start": start}, distillation={"teachers": teachers}))
        runs[name] = run
    return recipes


def _merge(section: Any, other: Any) -> Any:
    if not (isinstance(section, dict) and isinstance(other, dict)):
        return section if isinstance(other, dict) else other  # `_build` reports what is not a table
    return section | {key: _merge(section.get(key, {}), value) for key, value in other.items()}


def _read(file: str | Path) -> str:
    package = Path(__file__).parent.parent
    installed = package / "recipes"  # in a wheel; else the folder beside src
    folder = installed if installed.is_dir() else package.parent.parent / "recipes"
    shipped = {recipe.stem: recipe for recipe in sorted(folder.glob("*.toml"))}
    try:
        return shipped.get(str(file), Path(file)).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RecipeError(f"{file} does not exist: name a TOML file or one of {', '.join(shipped)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} cannot be read as TOML: {error}") from error


class _KeyError(RecipeError):
    """An error at a key, given as its path in the table."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


@contextmanager
def _located(file: str | Path, text: str, changes: Sequence[str], phase: str = "", index: int = 0) -> Iterator[None]:
    """Prepend the file, the phase and the line to an error, unless it lies in an override."""
    try:
        yield
    except _KeyError as error:
        if any(change.startswith(f"{'.'.join(error.path)}=") for change in changes):
            raise
        place = f"{file}, phase {phase}" if phase else f"{file}"
        paths: list[tuple[str | int, ...]] = []
        for size in range(len(error.path), 0, -1):  # the key, else its section; in the phase, else in the recipe
            paths += [("phases", index, *error.path[:size])] if phase else []
            paths.append(error.path[:size])
        line = next(filter(None, (_line(text, path) for path in paths)), None)
        raise RecipeError(f"{place}, line {line}: {error}" if line else f"{place}: {error}") from error


def _line(text: str, path: Iterable[str | int]) -> int:
    """Return the line where the statement that defines `path` starts; 0 if there is none.

    It is the first statement with which the lines so far, parsed as TOML, contain the path.
    """
    lines, start = text.splitlines(), 1
    for end in range(1, len(lines) + 1):
        try:
            value: Any = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:  # within a statement of several lines
            continue
        try:
            for key in path:
                value = value[key]
        except (KeyError, IndexError, TypeError):
            start = end + 1
        else:
            return start
    return 0


def _build(table: dict[str, Any], changes: Sequence[str]) -> Recipe:
    """Return the recipe of a table, with overrides."""
    for change in changes:
        path, equals, text = change.partition("=")
        *parents, key = path.split(".")
        within = table
        for parent in parents:
            within = within.setdefault(parent, {}) if isinstance(within, dict) else within
        if not (equals and parents and isinstance(within, dict)):
            raise RecipeError(f"{change!r} is not an override: write section.key=value")
        if any("\ud800" <= character <= "\udfff" for character in change):
            raise RecipeError(f"{change!r} is not UTF-8, as a recipe is: rename the file or folder")
        within[key] = _parse(text, is_text=_is_text(parents[0], key))
    table = {name: _convert_section(name, values) for name, values in table.items()}
    try:
        return _RECIPE.validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise _explain(error.errors()[0], table) from error


def _parse(text: str, *, is_text: bool) -> Any:
    """Return the value of an override; where a text is expected, 2024_05 is no number."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if is_text and not isinstance(value, str | list) else value


def _is_text(section: str, key: str) -> bool:
    """Return whether a key is a text or a list of texts."""
    kind = MixedOptions if section == "mixture" else SECTIONS.get(section)
    declaration = declared_keys(kind).get(key) if kind else None
    return declaration is not None and (get_origin(declaration.type) or declaration.type) in (str, Literal, tuple)


def _convert_section(name: str, values: Any) -> Any:
    """Return a section with numbers as text where a key is a text, and a single text as a list where it is one."""
    if not isinstance(values, dict) or name not in SECTIONS:
        return values
    if name == "mixture":
        return {own: _convert(MixedOptions, options) for own, options in values.items()}
    return _convert(SECTIONS[name], values)


def _convert(kind: Any, values: Any) -> Any:
    types = {key.name: get_origin(key.type) or key.type for key in declared_keys(kind).values()}

    def convert(name: str, value: Any) -> Any:
        if types.get(name) is tuple and isinstance(value, str):
            return [value] if value else []
        return str(value) if types.get(name) in (str, Literal) and type(value) in (int, float) else value

    return {name: convert(name, value) for name, value in values.items()} if isinstance(values, dict) else values


def _explain(error: ErrorDetails, table: dict[str, Any]) -> _KeyError:
    """Return pydantic's error in the words of the declarations."""
    depth = 2 if error["loc"][0] == "mixture" else 1
    path = tuple(map(str, error["loc"][: depth + 1]))
    where, value = ".".join(path), reduce(lambda values, key: values[key], path, table)
    if error["type"] == "unexpected_keyword_argument":
        known = declared_keys(SECTIONS[path[0]]) if len(path) > 1 else SECTIONS
        names = [".".join((*path[:-1], name)) for name in known]
        near = difflib.get_close_matches(where, names, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        return _KeyError(path, f"{where} is unknown: {hint}use one of {', '.join(names)}")
    if error["type"] == "value_error":  # of a section's own checks; the message starts with the key
        message = error["msg"].removeprefix("Value error, ")
        return _KeyError((*path, message.partition(" ")[0]), f"{where}.{message}")
    if len(path) <= depth:
        header = "[mixture.NAME]" if path[0] == "mixture" else f"[{where}]"
        return _KeyError(path, f"{where} {value!r} is not a section: write {header} and its keys below")
    key = declared_keys(SECTIONS[path[0]])[path[-1]]
    if get_origin(key.type) is Literal:
        return _KeyError(path, f"{where} {value!r} is unknown: use one of {', '.join(get_args(key.type))}")
    if error["type"].startswith(("greater_than", "less_than", "finite")):
        return _KeyError(path, f"{where} {value} is out of range: {range_of(key)}")
    kind = _TYPES[get_origin(key.type) or key.type]
    return _KeyError(path, f"{where} {value!r} is not {kind}: write it as in {key.name} = {toml_value(key.default)}")
