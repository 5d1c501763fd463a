"""From a run to a bundle: graphs, check, shrink, score, card."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from looksay.captioner import Captioner
from looksay.data import Dataset, Record
from looksay.errors import DataError, ParityError, RunError
from looksay.evaluation import Evaluation, evaluate
from looksay.export import calibration, model_card, onnx_graphs, parity, quantize
from looksay.models import encoder
from looksay.runtime import bundle
from looksay.runtime.bundle import CARD, TAGS, Bundle
from looksay.training import build, mixture, run_loader
from looksay.training.sections import UNSTATED
from looksay.types import ModelSpec

SPLIT = "val"

log = logging.getLogger(__name__)


def export(
    run_folder: Path,
    folder: Path,
    *,
    int8: bool = False,
    data_folder: Path | None = None,
    mixed: Mapping[str, Path] | None = None,
) -> Bundle:
    """Make a bundle of a run's best weights.

    The graphs must say what the trained model says on the first images of the val split, word for word. With
    `int8` they are then shrunk, which may change some captions; how many is logged and written into the card. The
    scores in the bundle are of the bundle as it is.

    Parameters
    ----------
    run_folder : Path
        Made by `train`.
    folder : Path
        A new folder.
    int8 : bool
        See `quantize.shrink`.
    data_folder : Path, optional
        The data set to check and score on; by default the run's own.
    mixed : mapping of str to Path, optional
        The same for data sets that are mixed with it, by their names.

    Returns
    -------
    Bundle

    Raises
    ------
    RunError
        If there is no run, or if `folder` exists.
    DataError
        If the data set cannot be read.
    ParityError
        If the exported model says something else than the trained one.
    """
    if folder.exists():
        raise RunError(f"{folder} exists already; name a new folder for the bundle")
    run = run_loader.load(run_folder)
    phases = run_loader.history(run_folder)
    dataset = mixture.read(run.recipe, data_folder, mixed)
    records = dataset.split(SPLIT)
    spec = ModelSpec(
        name=run.recipe.model.name,
        encoder=run.recipe.encoder.name,
        decoder=run.recipe.decoder.name,
        image=build.model_image_spec(run.recipe),
        grid=run.model.encoder.grid,
        decoding=run.recipe.decoding,
        licence=run.recipe.model.licence,
        training_data=_training_data(run, dataset),
    )
    if spec.licence == UNSTATED:
        log.warning("the model's licence is unstated; say it with model.licence in %s", run_folder / run_loader.RECIPE)
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        nouns = run.recipe.vocabulary.concepts
        classifier = encoder.classifier(run.recipe.encoder.name, run.recipe.encoder.weights) if nouns else None
        onnx_graphs.write(run.model, spec.image.size, building, classifier)
        run.vocabulary.save(building / bundle.VOCABULARY)
        captioner = _open(building, spec)
        report = str(_check(run, captioner, records))
        if int8:
            quantize.shrink(building)
            captioner = _open(building, spec)
            report += f"; then, in int8, {_compare(run, captioner, records)}"
        if nouns:
            calibration.table(captioner, dataset.split("train"), records, run.recipe.vocabulary.min_count).save(
                building / TAGS
            )
            captioner = _open(building, spec)
        found = _evaluate(captioner, dataset)
        spec = replace(spec, scores=_scores(found, spec.decoding.num_beams))
        (building / CARD).write_text(
            model_card.write(spec, phases, report, found, captioner.bundle.tags), encoding="utf-8"
        )
        bundle.seal(building, spec)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Bundle.open(folder)


def _training_data(run: run_loader.Run, dataset: Dataset) -> str:
    """Return what the recipe says that the model was trained on, or else what was found there."""
    if run.recipe.model.training_data != UNSTATED:
        return run.recipe.model.training_data
    images = dataset.split("train")
    captions = sum(len(record.references) for record in images)
    return f"{dataset.folder.name} ({dataset.layout}): {len(images):,} images with {captions:,} captions"


def _open(folder: Path, spec: ModelSpec) -> Captioner:
    bundle.seal(folder, spec)
    return Captioner(Bundle.open(folder))


def _compare(run: run_loader.Run, captioner: Captioner, records: list[Record]) -> parity.Parity:
    found = parity.compare(run.model, captioner, [record.image for record in records])
    log.info("%s", found)
    return found


def _check(run: run_loader.Run, captioner: Captioner, records: list[Record]) -> parity.Parity:
    found = _compare(run, captioner, records)
    if found.same != found.images:
        raise ParityError(f"{run.folder} was not exported: {found}; {found.differing}")
    return found


def _evaluate(captioner: Captioner, dataset: Dataset) -> dict[str, Evaluation]:
    """Caption the split with the bundle and score it, as ``looksay evaluate`` does; of a mixture each set apart."""
    found = {}
    for source in dict.fromkeys(record.source for record in dataset.split(SPLIT)):
        records = tuple(record for record in dataset.records if record.source == source)
        of_one = replace(dataset, records=records, problems=())  # which were told when it was read
        found[source] = evaluate(captioner, of_one, SPLIT)
        if len(found[source].captions) < 2:
            raise DataError(f"one image is too few to score: CIDEr-D compares several; the {SPLIT} split needs more")
        for problem in found[source].problems:
            log.warning("%s", problem)
        shown = ", ".join(f"{name} {100 * value:.1f}" for name, value in found[source].scores.items())
        log.info("%s of %d images%s: %s", SPLIT, len(found[source].captions), f" of {source}" if source else "", shown)
    return found


def _scores(found: Mapping[str, Evaluation], beam: int) -> dict[str, Any]:
    """Return what is told of the set of ``[data]``, and under ``also`` of the others, by their names."""
    told: dict[str, dict[str, Any]] = {
        source: {
            **({"set": source} if source else {}),
            "split": SPLIT,
            "images": len(one.captions),
            "references": one.references[1],
            "num_beams": beam,
            **{name: round(value, 6) for name, value in one.scores.items()},
        }
        for source, one in found.items()
    }
    first, *others = told
    return told[first] | ({"also": {name: told[name] for name in others}} if others else {})
