"""The data sets of a recipe, read and joined into one."""

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
    """Read the data set of ``[data]`` and join those of ``[mixture.NAME]`` to it.

    `folder` replaces the folder of ``[data]``, and `others` those of ``[mixture.NAME]``, by name. In a mixture, each
    record's `source` is the name of its set: that of its folder, or of its section.

    Raises
    ------
    DataError, RecipeError
        If a data set cannot be read, if two sets have the same name, or if a name in `others` is unknown.
    """
    others = others or {}
    if unknown := set(others) - set(recipe.mixture):
        known = ", ".join(recipe.mixture) or "none"
        raise RecipeError(f"mixture.{unknown.pop()} is not in this recipe: use one of {known}")
    main = _read(folder or Path(recipe.data.folder), recipe.data)
    if not recipe.mixture:
        return main
    name = main.folder.name or "data"
    if name in recipe.mixture:
        raise RecipeError(f"mixture.{name} has the name of data.folder: rename the section")
    records = [replace(record, source=name) for record in main.records]
    problems = list(main.problems)
    for name, options in recipe.mixture.items():
        mixed = _read(others.get(name, Path(options.folder)), options)
        records += [
            replace(record, source=name, split=record.split if options.split == "own" else options.split)
            for record in mixed.records
        ]
        problems += mixed.problems
    counts = Counter(record.source for record in records)
    layout = " + ".join(f"{name} ({count:,} images)" for name, count in counts.items())
    return Dataset(main.folder, layout, tuple(records), tuple(problems))


def _read(folder: Path, options: data.ReadOptions) -> Dataset:
    """Read a data set and log its layout, its sizes and what was left out."""
    dataset = data.read(folder, options)
    counts = Counter(record.split for record in dataset.records)
    sizes = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
    log.info("%s: %s; images: %s", dataset.folder, dataset.layout, sizes)
    for problem in dataset.problems:
        log.warning("%s", problem)
    return dataset
