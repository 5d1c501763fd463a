"""A recipe's TOML file → `Recipe`, or one for each of its phases; ``section.key=value`` overrides a key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from looksay.errors import OptionError, RecipeError
from looksay.option_fields import Option, range_of
from looksay.training.recipe import Recipe, toml_value
from looksay.training.sections import MixedOptions, declared_keys

SECTIONS: dict[str, Any] = {
    section.name: MixedOptions if section.name == "mixture" else section.default_factory for section in fields(Recipe)
}
"""The class of each section; of ``mixture`` that of its subsections."""

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
        within[key] = _parse(text)
    sections: dict[str, Any] = {}
    for name, values in table.items():
        _check_known((name,), SECTIONS)
        if name == "mixture" and isinstance(values, dict):
            sections[name] = {of: _section(MixedOptions, options, (name, of)) for of, options in values.items()}
        else:
            sections[name] = _section(SECTIONS[name], values, (name,))
    return Recipe(**sections)


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _check_known(path: tuple[str, ...], known: Iterable[str]) -> None:
    *parents, key = path
    if key not in known:
        names = [".".join((*parents, name)) for name in known]
        near = difflib.get_close_matches(".".join(path), names, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise _KeyError(path, f"{'.'.join(path)} is unknown: {hint}use one of {', '.join(names)}")


def _section(kind: type[Any], table: Any, path: tuple[str, ...]) -> Any:
    """Return a section of a table of its keys, with errors in the words of its declarations."""
    where = ".".join(path)
    if not isinstance(table, dict):
        header = f"[{where}.NAME]" if where == "mixture" else f"[{where}]"
        raise _KeyError(path, f"{where} {table!r} is not a section: write {header} and its keys below")
    keys = declared_keys(kind)
    for name in table:
        _check_known((*path, name), keys)
    values = {name: _convert(keys[name], value) for name, value in table.items()}
    try:
        return kind(**values)
    except OptionError as error:  # of a stdlib dataclass; the message starts with the key
        message = str(error)
    except ValidationError as error:
        first = error.errors()[0]
        message = _message(keys[str(first["loc"][0])], values, first["type"]) if first["loc"] else first["msg"]
        message = message.removeprefix("Value error, ")  # pydantic's prefix of errors between keys
    raise _KeyError((*path, message.partition(" ")[0]), f"{where}.{message}")


def _convert(key: Option, value: Any) -> Any:
    """Return a TOML value as the type of its key: numbers as text, a text or a list as a tuple."""
    if get_origin(key.type) is tuple and isinstance(value, list | str):
        return tuple(value) if isinstance(value, list) else (value,) if value else ()
    if (key.type is str or get_origin(key.type) is Literal) and type(value) in (int, float):
        return str(value)
    return value


def _message(key: Option, values: dict[str, Any], error: str) -> str:
    value = values[key.name]
    if get_origin(key.type) is Literal:
        return f"{key.name} {value!r} is unknown: use one of {', '.join(get_args(key.type))}"
    if error.startswith(("greater_than", "less_than", "finite")):
        return f"{key.name} {value} is out of range: {range_of(key)}"
    kind = _TYPES[get_origin(key.type) or key.type]
    return f"{key.name} {value!r} is not {kind}: write it as in {key.name} = {toml_value(key.default)}"
