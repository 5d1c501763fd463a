"""The data sets of a recipe → one, whose records know which of them they are from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from looksay import data
from looksay.data import SPLITS, Dataset
from looksay.errors import RecipeError
from looksay.training.recipe import Recipe

log = logging.getLogger(__name__)


def read(recipe: Recipe, folder: Path | None = None, others: Mapping[str, Path] | None = None) -> Dataset:
    """Read the data set of ``[data]``, and those of ``[mixture.NAME]`` that are to be mixed with it.

    Parameters
    ----------
    recipe : Recipe
    folder : Path, optional
        Read instead of the one of ``[data]``.
    others : mapping of str to Path, optional
        Read instead of those of ``[mixture.NAME]``, by their names.

    Returns
    -------
    Dataset
        Of a mixture, each record's `source` is the name of its set: that of its folder, or of its section.

    Raises
    ------
    DataError
        If a data set cannot be read.
    RecipeError
        If two sets have one name, or if there is no set of a name in `others`.
    """
    others = others or {}
    if unknown := set(others) - set(recipe.mixture):
        known = ", ".join(recipe.mixture) or "none"
        raise RecipeError(f"there is no mixture.{unknown.pop()} in this recipe; it has {known}")
    main = data.read(folder or Path(recipe.data.folder), recipe.data)
    _report(main)
    if not recipe.mixture:
        return main
    name = main.folder.name or "data"
    if name in recipe.mixture:
        raise RecipeError(f"mixture.{name}: this is the name of data.folder, too; call the section otherwise")
    records = [replace(record, source=name) for record in main.records]
    problems = list(main.problems)
    for name, options in recipe.mixture.items():
        mixed = data.read(others.get(name, Path(options.folder)), options)
        _report(mixed)
        records += [
            replace(record, source=name, split=record.split if options.split == "own" else options.split)
            for record in mixed.records
        ]
        problems += mixed.problems
    layout = " + ".join(f"{name} ({count:,} images)" for name, count in Counter(r.source for r in records).items())
    return Dataset(main.folder, layout, tuple(records), tuple(problems))


def _report(dataset: Dataset) -> None:
    counts = ", ".join(f"{sum(r.split == split for r in dataset.records)} {split}" for split in SPLITS)
    log.info("%s: %s; images: %s", dataset.folder, dataset.layout, counts)
    for problem in dataset.problems:
        log.warning("%s", problem)
