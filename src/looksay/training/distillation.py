"""Soft targets: the distributions of trained captioners over the words of the training captions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from looksay.data.memmap_store import new_rows, progress, write_once
from looksay.errors import DataError, RecipeError
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import run_loader
from looksay.training.caption_dataset import Batch, CaptionDataset, caption_dataset
from looksay.training.checkpoint import BEST
from looksay.training.feature_cache import precision
from looksay.training.recipe import Recipe
from looksay.training.run_loader import Run

_TOP = 32
_BATCH_SIZE = 32
_WORD = np.dtype([("words", np.int32, _TOP), ("probabilities", np.float16, _TOP)])


class SoftTargets:
    """The top tokens at each word of a student's captions, by the mean of the teachers' probabilities.

    They are computed once, without augmentation, into a memory-mapped file in the folder of the image cache. Its name
    is a hash of the teachers' weights and of the captions. `teachers` are folders of runs that can read the student's
    images; `recipe` is the student's. A teacher with another vocabulary teaches the words that both have; its ``<unk>``
    stands for other words than the student's and is left out. A word that no teacher knows is its own soft target.

    Raises
    ------
    RunError, RecipeError, DataError
        If a teacher is not a run that has completed an epoch, has less than half of the student's words, or cannot read
        the same images.
    """

    def __init__(self, teachers: Sequence[str], student: CaptionDataset, recipe: Recipe) -> None:
        key = hashlib.sha256(f"{student.cache.folder.name} {[r.references for r in student.records]}".encode())
        runs = [run_loader.load(Path(teacher)) for teacher in teachers]
        key.update(repr(student.vocabulary.tokens).encode())
        for run in runs:
            words = set(student.vocabulary.tokens).difference(SPECIAL)
            known = len(words.intersection(run.vocabulary.tokens))
            if known < len(words) / 2:
                raise RecipeError(
                    f"distillation.teachers: {run.folder} has {known} of this recipe's {len(words)} words: train it on "
                    "captions of the same kind"
                )
            key.update((run.folder / BEST).read_bytes())
        lengths = [[len(caption) for caption in captions] for captions in student.captions]
        key.update(repr(lengths).encode())
        ends = iter(np.cumsum([length for captions in lengths for length in captions]).tolist())
        self._slices = [[slice((end := next(ends)) - length, end) for length in captions] for captions in lengths]
        self._file = student.cache.folder.with_name(f"soft-{key.hexdigest()[:16]}.npy")
        write_once([self._file], lambda _: _write(self._file, self._slices, runs, student, recipe))
        self._rows = np.load(self._file, mmap_mode="r")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the mapped file, which a data loader's worker maps itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_rows"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_rows": np.load(state["_file"], mmap_mode="r")}

    def __call__(self, image: int, caption: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the top tokens at each word of a caption and their probabilities: each (words, top).

        The probabilities at a word sum to 1.
        """
        rows = self._rows[self._slices[image][caption]]
        probabilities = rows["probabilities"].astype(np.float32)
        return rows["words"].astype(np.int64), probabilities / probabilities.sum(axis=1, keepdims=True)


@torch.no_grad()
def _write(file: Path, slices: list[list[slice]], runs: Sequence[Run], student: CaptionDataset, recipe: Recipe) -> None:
    """Compute the soft targets of all captions."""
    datasets = [_teacher_data(run, student, recipe) for run in runs]
    top = min(_TOP, len(student.vocabulary))
    starts = range(0, len(student), _BATCH_SIZE)
    total = slices[-1][-1].stop
    with new_rows(file, _WORD, (total,)) as rows, progress(starts, len(starts), "computing soft targets") as bar:
        for first in bar:
            indices = range(first, min(first + _BATCH_SIZE, len(student)))
            captions = max(len(student.captions[index]) for index in indices)
            batches = [dataset.batch(indices, captions) for dataset in datasets]  # all in the same order
            words = [word for image, caption in batches[0].rows for word in student.captions[image][caption]]
            targets = torch.tensor(words, device=_device())
            sums = torch.zeros(len(words), len(student.vocabulary), device=_device())
            for run, batch in zip(runs, batches, strict=True):
                sums += _of_student(_probabilities(run, batch), run.vocabulary, student.vocabulary, targets)
            unknown = (sums.sum(dim=1) == 0).nonzero().squeeze(1)
            sums[unknown, targets[unknown]] = 1.0
            best = (sums / sums.sum(dim=1, keepdim=True)).topk(top)
            places = np.concatenate([np.r_[slices[image][caption]] for image, caption in batches[0].rows])
            rows["words"][places, :top] = best.indices.cpu().numpy()
            rows["probabilities"][places, :top] = best.values.cpu().numpy()


def _teacher_data(run: Run, student: CaptionDataset, recipe: Recipe) -> CaptionDataset:
    """Return the student's images and captions as a teacher reads them."""
    # A frozen teacher has cached the features of its augmented images; their first view is the original image.
    frozen = not run.recipe.encoder.trainable
    own = run.recipe.replace(
        data=recipe.data,
        mixture=recipe.mixture,
        training={"max_length": recipe.training.max_length, "length_buckets": 0},
    )
    dataset = caption_dataset(student.all_records, own, run.vocabulary, run.model, augmented=frozen)
    if dataset.records != student.records:
        raise DataError(f"distillation.teachers: {run.folder} cannot read the same images as this recipe")
    return dataset


def _probabilities(run: Run, batch: Batch) -> Tensor:
    """Return a teacher's probabilities at each word of a batch: (words, vocab)."""
    model, batch = run.model.to(_device()), batch.to(_device())
    bf16 = precision(run.recipe.training.precision) == "bf16-mixed"
    with torch.autocast(_device().type, torch.bfloat16, enabled=bf16):
        outputs, _ = model.decoder(model.encode(batch.images)[0], batch.tokens, active=batch.active)
        logits: Tensor = model.decoder.output_head(batch.words_of(outputs))
    return logits.float().softmax(dim=-1)


def _of_student(probabilities: Tensor, teacher: Vocabulary, student: Vocabulary, targets: Tensor) -> Tensor:
    """Return probabilities (words, teacher's vocab) for the words of the student: (words, student's vocab).

    They are 0 where the teacher does not know the target (words,), a token of the student.
    """
    if teacher == student:
        return probabilities
    ids = {token: index for index, token in enumerate(teacher.tokens)}
    del ids[teacher.tokens[teacher.unk]]
    known = [(index, ids[token]) for index, token in enumerate(student.tokens) if token in ids]
    columns, columns_of_teacher = torch.tensor(known, device=probabilities.device).T
    shared = probabilities.new_zeros(len(probabilities), len(student))
    shared[:, columns] = probabilities[:, columns_of_teacher]
    return shared * torch.isin(targets, columns)[:, None]


def _device() -> torch.device:
    """Return the device on which soft targets are computed."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
