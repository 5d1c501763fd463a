"""What trained captioners would say at each word of people's captions: soft targets for a new one to learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.data.memmap_store import is_writer, new_rows, progress, wait_for
from looksay.errors import DataError, RecipeError
from looksay.training import build, run_loader
from looksay.training.batches import Batch, CaptionDataset, images
from looksay.training.checkpoint import BEST
from looksay.training.run_loader import Run

_LIKELIEST = 32
_BATCH = 32
_WORD = np.dtype([("words", np.int32, _LIKELIEST), ("probabilities", np.float16, _LIKELIEST)])


class SoftTargets:
    """The likeliest words at each word of captions, by the mean of the probabilities of some captioners.

    They are computed once, from images as they are, into one memory-mapped file.

    Parameters
    ----------
    teachers : sequence of str
        The folders of runs; their best weights teach.
    learner : CaptionDataset
        The images and captions to learn from. The file stands in the folder of its cache; its name is a hash of the
        teachers' weights and of the captions.

    Raises
    ------
    RunError
        If a teacher is not a run that has completed an epoch.
    RecipeError
        If a teacher has other words.
    DataError
        If a teacher cannot read the same images.
    """

    def __init__(self, teachers: Sequence[str], learner: CaptionDataset) -> None:
        facts = hashlib.sha256(f"{learner.cache.folder.name} {[r.references for r in learner.records]}".encode())
        runs = [run_loader.load(Path(teacher)) for teacher in teachers]
        for run in runs:
            if run.vocabulary != learner.vocabulary:
                raise RecipeError(
                    f"distillation.teachers: {run.folder} has other words than this recipe gives; train it on the same "
                    "captions, with the same vocabulary.min_count"
                )
            facts.update((run.folder / BEST).read_bytes())
        lengths = [[len(caption) for caption in of_one] for of_one in learner.captions]
        facts.update(repr(lengths).encode())
        ends = iter(np.cumsum([length for of_one in lengths for length in of_one]).tolist())
        self._where = [[slice((end := next(ends)) - length, end) for length in of_one] for of_one in lengths]
        file = learner.cache.folder.with_name(f"soft-{facts.hexdigest()[:16]}.npy")
        if not file.is_file() and is_writer():
            _write(file, self._where, runs, learner)
        wait_for(file)
        self._rows = np.load(file, mmap_mode="r")

    def __call__(self, image: int, caption: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the likeliest words at each word of a caption and their probabilities: each (words, likeliest).

        The probabilities at a word sum to 1.
        """
        rows = self._rows[self._where[image][caption]]
        probabilities = rows["probabilities"].astype(np.float32)
        return rows["words"].astype(np.int64), probabilities / probabilities.sum(axis=1, keepdims=True)


@torch.no_grad()
def _write(file: Path, where: list[list[slice]], runs: Sequence[Run], learner: CaptionDataset) -> None:
    """Let the teachers read all captions."""
    taught = [_seen(run, learner) for run in runs]
    likeliest = min(_LIKELIEST, len(learner.vocabulary))
    starts = range(0, len(learner), _BATCH)
    total = where[-1][-1].stop
    with new_rows(file, _WORD, (total,)) as rows, progress(starts, len(starts), "asking the teachers") as bar:
        for first in bar:
            places = range(first, min(first + _BATCH, len(learner)))
            captions = max(len(learner.captions[place]) for place in places)
            batches = [seen.batch(places, captions) for seen in taught]  # all in the same order: that of the lengths
            said = [_probabilities(run, batch) for run, batch in zip(runs, batches, strict=True)]
            best = torch.stack(said).mean(dim=0).topk(likeliest)
            into = np.concatenate([np.r_[where[image][caption]] for image, caption in batches[0].rows])
            rows["words"][into, :likeliest] = best.indices.cpu().numpy()
            rows["probabilities"][into, :likeliest] = best.values.cpu().numpy()


def _seen(run: Run, learner: CaptionDataset) -> CaptionDataset:
    """Return the learner's images and captions as a teacher sees them."""
    recipe = replace(
        run.recipe,
        data=learner.recipe.data,
        mixture=learner.recipe.mixture,
        training=replace(run.recipe.training, max_length=learner.recipe.training.max_length),
    )
    # A frozen one has looked at its augmented images already, in training: the first view is the image as it is.
    frozen = not recipe.encoder.trainable
    seen = images(learner.given, recipe, run.vocabulary, run.model, augmented=frozen)
    if seen.records != learner.records:
        raise DataError(f"distillation.teachers: {run.folder} cannot read the same images as this recipe")
    return seen


def _probabilities(run: Run, batch: Batch) -> Tensor:
    """Return what a captioner says at each word of a batch: (words, vocabulary)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, batch = run.model.to(device), batch.to(device)
    with torch.autocast(
        device.type, torch.bfloat16, enabled=build.precision(run.recipe.training.precision) == "bf16-mixed"
    ):
        outputs, _ = model.decoder(model.grid(batch.images), batch.tokens, going=batch.going)
        said: Tensor = model.decoder.output_head(outputs[batch.counted]).float().softmax(dim=-1)
    return said
