"""A recipe's TOML file → `Recipe`, or one for each of its phases; ``section.key=value`` changes a key."""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from looksay.errors import OptionError, RecipeError
from looksay.training.recipe import Recipe


def load(file: str | Path, changes: typing.Sequence[str] = ()) -> Recipe:
    """Read a recipe without phases.

    Parameters
    ----------
    file : str or Path
        A TOML file, or the name of a recipe that ships with looksay: ``show-and-tell``.
    changes : sequence of str
        Each ``section.key=value``, the value written as in TOML or as a bare word.

    Raises
    ------
    RecipeError
        If the file is missing or broken, or if a section, a key or a value is not known; with the known ones. If it
        has phases.
    """
    recipes = phases(file, changes)
    if len(recipes) > 1:
        raise RecipeError(f"{file} has {len(recipes)} phases; looksay train runs one after the other")
    return recipes[0]


def phases(file: str | Path, changes: typing.Sequence[str] = ()) -> list[Recipe]:
    """Read a recipe, one for each of its ``[[phases]]``, or the recipe itself where it has none.

    A phase has a name, and sections with keys that are other than in the recipe. Its run is the folder of that name
    below ``training.run``. ``training.start`` and ``distillation.teachers`` may name phases before it. `changes` hold
    for all phases.

    Parameters and errors are those of `load`.
    """
    text = _read(file)
    table = _parsed(file, text)
    parts = table.pop("phases", None)
    if parts is None:
        with _placed(file, text.splitlines(), changes):
            return [_changed(table, changes)]
    if not (isinstance(parts, list) and parts and all(isinstance(part, dict) and "name" in part for part in parts)):
        raise RecipeError(f"{file}: each phase is a table [[phases]] with a name")
    runs: dict[str, str] = {}
    recipes: list[Recipe] = []
    for part in parts:
        name = str(part.pop("name"))
        if name in runs or name in ("", "..") or Path(name).name != name:
            raise RecipeError(f"{file}: each phase has a name of its own that can be a folder's, unlike {name!r}")
        merged = {section: _merged(table.get(section, {}), part.get(section, {})) for section in table | part}
        with _placed(file, text.splitlines(), changes, phase=name):
            recipe = _changed(merged, changes)
        training, teachers = recipe.training, recipe.distillation.teachers
        run = f"{training.run}/{name}"
        start, teachers = (tuple(runs.get(each, each) for each in earlier) for earlier in (training.start, teachers))
        recipes.append(
            replace(
                recipe,
                training=replace(training, run=run, start=start),
                distillation=replace(recipe.distillation, teachers=teachers),
            )
        )
        runs[name] = run
    return recipes


def _merged(section: Any, other: Any) -> Any:
    if not (isinstance(section, dict) and isinstance(other, dict)):
        return section if isinstance(other, dict) else other  # if it is a mistake, it is named later
    return section | {key: _merged(section.get(key, {}), value) for key, value in other.items()}


def _read(file: str | Path) -> str:
    shipped = {recipe.stem: recipe for recipe in sorted(_shipped().glob("*.toml"))}
    try:
        return shipped.get(str(file), Path(file)).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        known = f"the recipes that ship are {', '.join(shipped)}"
        raise RecipeError(f"{file}: there is no such recipe; {known}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file} is not a recipe in TOML: {error}") from error


def _parsed(file: str | Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{file} is not a recipe in TOML: {error}") from error


class _Slip(RecipeError):
    """A slip at a key, ``section.key``."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@contextmanager
def _placed(file: str | Path, lines: list[str], changes: typing.Sequence[str], phase: str = "") -> Iterator[None]:
    """Put before an error where it is: the file and the line, unless the slip is among the changes."""
    try:
        yield
    except RecipeError as error:
        place = f"{file}, phase {phase}" if phase else ""
        if isinstance(error, _Slip) and not any(change.startswith(f"{error.key}=") for change in changes):
            line = _line(lines, error.key, phase) or (_line(lines, error.key) if phase else 0)
            place = f"{place or file}, line {line}" if line else place
        if not place:
            raise
        raise RecipeError(f"{place}: {error}") from error


def _line(lines: list[str], key: str, phase: str = "") -> int:
    """Return the line of a key, or of its section where it has none of its own; 0 if it is not there."""
    section = of = ""
    name = re.compile(r"""\s*name\s*=\s*["'](.*?)["']""")
    for number, line in enumerate(lines, 1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]", line):
            section = header[1].removeprefix("phases").lstrip(".")
            if header[1] == "phases":
                of = next((found[1] for found in map(name.match, lines[number:]) if found), "")
            if of == phase and section == key:
                return number
            continue
        found = re.match(r"\s*([\w.-]+)\s*=", line)
        if found and of == phase and f"{section}.{found[1]}.".lstrip(".").startswith(f"{key}."):
            return number
    return 0


def _changed(table: dict[str, Any], changes: typing.Sequence[str]) -> Recipe:
    """Make a recipe of a table, with changes."""
    for change in changes:
        path, equals, text = change.partition("=")
        *sections, key = path.split(".")
        within = table
        for section in sections:
            within = within.setdefault(section, {}) if isinstance(within, dict) else within
        if not (equals and sections and isinstance(within, dict)):
            raise RecipeError(f"{change!r}: a change to a recipe is written section.key=value")
        within[key] = _parse(text)
    recipe: Recipe = _build(Recipe, table, "")
    return recipe


def _shipped() -> Path:
    """Return the folder of recipes: in an installed package, or where the source is."""
    package = Path(__file__).parent.parent
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent.parent / "recipes"


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _build(kind: type[Any], table: dict[str, Any], path: str) -> Any:
    """Make a dataclass of a table, naming what is wrong."""
    hints = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        where = f"{path}{key}"
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1)
            meant = f"did you mean {path}{near[0]}? " if near else ""
            raise _Slip(where, f"a recipe has no {where}; {meant}there are {', '.join(path + name for name in hints)}")
        if is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise _Slip(where, f"{where} is a section with keys, not the value {value!r}")
            values[key] = _build(hints[key], value, f"{where}.")
        elif get_origin(hints[key]) is dict:
            if not (isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())):
                raise _Slip(where, f"{where} has sections, as in [{where}.NAME]")
            of = get_args(hints[key])[1]
            values[key] = {name: _build(of, each, f"{where}.{name}.") for name, each in value.items()}
        else:
            values[key] = _check(where, value, hints[key])
    try:
        return kind(**values)
    except OptionError as error:
        raise _Slip(path + str(error).partition(" ")[0], f"{path.rstrip('.')}: {error}") from error


def _check(where: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if str(value) not in get_args(kind):
            raise _Slip(where, f"{where} is {value!r}; it must be one of {', '.join(get_args(kind))}")
        return str(value)
    if get_origin(kind) is tuple:
        if isinstance(value, str):
            return (value,) if value else ()
        if not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise _Slip(where, f"{where} is {value!r}; it must be a text or a list of texts")
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind is str and type(value) in (int, float):
        return str(value)
    if type(value) is not kind:
        raise _Slip(where, f"{where} is {value!r}; it must be of type {kind.__name__}")
    return value
