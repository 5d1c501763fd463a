"""The export pipeline: a run becomes a bundle of graphs, vocabulary, concepts, scores and model card."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksay.captioner import Captioner
from looksay.data import Dataset, Record
from looksay.errors import DataError, ParityError, RunError
from looksay.evaluation import Evaluation, evaluate
from looksay.evaluation.evaluate import readable_batches
from looksay.export import calibration, confidence, model_card, onnx_graphs, parity, quantize
from looksay.models import encoder
from looksay.runtime import bundle
from looksay.runtime.bundle import CARD, CONFIDENCE, TAGS, VOCABULARY, Bundle
from looksay.training import run_loader
from looksay.training.checkpoint import RECIPE
from looksay.training.datamodule import read_data
from looksay.training.run_loader import Run
from looksay.training.sections import UNSTATED
from looksay.types import ModelSpec

SPLIT = "val"

_QUANTISATION_IMAGES = 128

log = logging.getLogger(__name__)


def export(
    run_folder: Path,
    folder: Path,
    *,
    int8: bool = False,
    data_folder: Path | None = None,
    mixture_folders: Mapping[str, Path] | None = None,
) -> Bundle:
    """Export a run's best weights as a bundle.

    The graphs must generate the captions of the trained model for the first `parity.IMAGES` images of the val split,
    token for token. The bundle's scores are those of the finished graphs, quantised or not.

    Parameters
    ----------
    run_folder, folder : Path
        A folder that `train` wrote; a new folder for the bundle.
    int8 : bool
        Whether to quantise the verified graphs (see `quantize.quantize`) with images of the train split, which may
        change some captions; the number of unchanged ones is logged and written into the model card.
    data_folder, mixture_folders : optional
        The data set to verify and score on, and by name the others of a mixture; the run's own by default.

    Raises
    ------
    RunError, DataError, ParityError
        If `run_folder` is not a run or `folder` exists; if the data set cannot be read; if a caption of the exported
        model differs from the trained model's.
    """
    run = _load(run_folder, folder)
    options, has_concepts = run.recipe.encoder, run.recipe.vocabulary.concepts
    classifier = encoder.classifier(options.name, options.weights) if has_concepts else None
    dataset = read_data(run.recipe, data_folder, mixture_folders)
    records = dataset.split(SPLIT)
    spec = _model_spec(run, dataset)
    with _new_folder(folder) as building:
        onnx_graphs.write(run.model, spec.image.size, building, classifier)
        run.vocabulary.save(building / VOCABULARY)
        captioner = _open(building, spec)
        result = parity.compare(run.model, captioner, records)
        if result.same != result.images:
            raise ParityError(f"{run_folder} was not exported: {result}; {result.first_difference}")
        report, curve = str(result), list[confidence.Point]()
        if int8:
            quantize.quantize(building, _train_images(captioner, dataset.split("train")))
            captioner = _open(building, spec)
            report += f"; then, in int8, {parity.compare(run.model, captioner, records)}"
        detector = run.model.detector
        words = run.vocabulary.to_tokens(detector.tokens.tolist()) if detector else ()
        if detector:
            trust = confidence.fit(captioner, words, records)
            trust.save(building / CONFIDENCE)
            captioner = _open(building, spec)
        if has_concepts:
            train, min_count = dataset.split("train"), run.recipe.vocabulary.min_count
            calibration.calibrate(captioner, train, records, min_count, words).save(building / TAGS)
            captioner = _open(building, spec)
        if captioner.bundle.confidence:
            curve = confidence.measure(captioner, captioner.bundle.confidence, records)
        evaluations = _evaluate(captioner, dataset)
        spec = replace(spec, scores=_scores(evaluations, spec.decoding.num_beams))
        card = model_card.render(
            spec, run_loader.history(run_folder), report, evaluations, captioner.bundle.tags, curve
        )
        (building / CARD).write_text(card, encoding="utf-8")
        bundle.seal(building, spec)
    return Bundle.open(folder)


def plan(
    run_folder: Path, folder: Path, int8: bool, data_folder: Path | None, mixture_folders: Mapping[str, Path]
) -> Iterator[str]:
    """Yield what `export` would do, line by line; a run, a folder or data that it would refuse are errors here too."""
    run = _load(run_folder, folder)
    records = read_data(run.recipe, data_folder, mixture_folders).split(SPLIT)
    size = sum(parameter.numel() for parameter in run.model.parameters())
    yield f"run: {run_folder}, {run.recipe.encoder.name}, {run.recipe.decoder.name}, {size:,} parameters"
    for source, count in Counter(record.source for record in records).items():
        yield f"scored on the {SPLIT} split: {count:,} images{f' of {source}' if source else ''}"
    width = 1.5 if int8 else 4  # int8: one byte in convolutions and matrix products, three in tied embeddings
    yield f"would write {folder}, about {size * width / 1e6:.0f} MB"


def _load(run_folder: Path, folder: Path) -> Run:
    if folder.exists():
        raise RunError(f"{folder} exists already: choose a new folder for the bundle.")
    return run_loader.load(run_folder)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` if no error is raised."""
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _model_spec(run: Run, dataset: Dataset) -> ModelSpec:
    options = run.recipe.model
    if options.licence == UNSTATED:
        log.warning("the model's licence is unstated: set model.licence in %s.", run.folder / RECIPE)
    return ModelSpec(
        name=options.name,
        encoder=run.recipe.encoder.name,
        decoder=run.recipe.decoder.name,
        image=run.model.encoder.image,
        grid=run.model.encoder.grid,
        decoding=run.recipe.decoding,
        licence=options.licence,
        training_data=_training_data(dataset, options.training_data),
    )


def _training_data(dataset: Dataset, terms: str) -> str:
    """Return what was read for training, set by set, and the recipe's words on it."""
    sets: dict[str, list[Record]] = {}
    for record in dataset.split("train"):
        sets.setdefault(record.source or f"{dataset.folder.name} ({dataset.layout})", []).append(record)
    parts = [
        f"{name}: {len(records):,} images with {sum(len(record.references) for record in records):,} captions"
        for name, records in sets.items()
    ]
    return "; ".join([*parts, *([] if terms == UNSTATED else [terms])])


def _open(folder: Path, spec: ModelSpec) -> Captioner:
    bundle.seal(folder, spec)
    return Captioner(Bundle.open(folder))


def _train_images(captioner: Captioner, records: Sequence[Record]) -> NDArray[np.float32]:
    """Return the encoder's input for some images of the train split, from all of its data sets."""
    places = np.linspace(0, len(records) - 1, min(len(records), _QUANTISATION_IMAGES), dtype=int)
    chosen = [records[place] for place in places]
    batches = [prepared for prepared, _ in readable_batches(captioner, chosen)]
    if not batches:
        raise DataError("no image of the train split can be read, so the model cannot be quantised: check --data.")
    return np.stack([pixels for prepared in batches for (pixels,) in prepared])


def _evaluate(captioner: Captioner, dataset: Dataset) -> dict[str, Evaluation]:
    """Score the bundle on the split as ``looksay evaluate`` does, separately for each data set of a mixture."""
    evaluations = {}
    for source in dict.fromkeys(record.source for record in dataset.split(SPLIT)):
        records = tuple(record for record in dataset.records if record.source == source)
        # The problems of the data set were logged when it was read.
        evaluation = evaluate(captioner, replace(dataset, records=records, problems=()), SPLIT)
        count = len(evaluation.captions)
        if count < 2:
            raise DataError(f"the {SPLIT} split has {count} readable image: CIDEr-D needs 2 or more.")
        for problem in evaluation.problems:
            log.warning("%s", problem)
        scores = ", ".join(f"{name} {100 * value:.1f}" for name, value in evaluation.scores.items())
        log.info("%s split, %d images%s: %s", SPLIT, count, f" of {source}" if source else "", scores)
        evaluations[source] = evaluation
    return evaluations


def _scores(evaluations: Mapping[str, Evaluation], num_beams: int) -> dict[str, Any]:
    """Return the scores of the data set of ``[data]``, with those of other data sets by name under ``also``."""
    rows: dict[str, dict[str, Any]] = {
        source: {
            **({"set": source} if source else {}),
            "split": SPLIT,
            "images": len(evaluation.captions),
            "references": evaluation.references[1],
            "num_beams": num_beams,
            **{name: round(value, 6) for name, value in evaluation.scores.items()},
        }
        for source, evaluation in evaluations.items()
    }
    first, *others = rows.items()
    return first[1] | ({"also": dict(others)} if others else {})
