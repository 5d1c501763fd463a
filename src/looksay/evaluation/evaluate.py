"""Evaluation of a model on a split of a data set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from looksay.captioner import Captioner, Prepared
from looksay.data import Dataset, Record
from looksay.data.memmap_store import progress
from looksay.decoding.state import DecoderState
from looksay.errors import DataError, ImageError, require
from looksay.evaluation.scoring import Evaluation, score_captions
from looksay.metrics import java


def evaluate(
    captioner: Captioner,
    dataset: Dataset,
    split: str,
    *,
    batch: int = 8,
    meteor: bool = False,
    spice: bool = False,
    **options: Any,
) -> Evaluation:
    """Caption a split as users would, and score the best caption of each image.

    The measures of diversity then include ``word accuracy %`` and ``perplexity`` of the references, by teacher forcing
    with ``<end>``. Unknown words count as ``<unk>``.

    Parameters
    ----------
    captioner, dataset, split
    batch : int
        Images captioned together.
    meteor, spice : bool
        See `looksay.metrics.score`.
    **options
        Any of `DecodingOptions`, in place of the model's own.

    Raises
    ------
    DataError
        If the split is empty or none of its images can be read.
    OptionError
        If an option is unknown or out of range.
    MissingExtra, MetricError
        If METEOR or SPICE cannot run; raised before any image is captioned.
    """
    require("min_confidence" not in options, "min_confidence cannot be used: all captions are scored")
    decoding = captioner.options(options)
    require(type(batch) is int and batch >= 1, f"batch {batch!r} is out of range: use 1 or more")
    split_records = dataset.split(split)
    java.check(meteor=meteor, spice=spice)
    records, captions, forcing, problems = [], [], _TeacherForcing(), list(dataset.problems)
    with progress(split_records, len(split_records), "captioning") as bar:
        for prepared, readable in readable_batches(captioner, bar, batch, problems):
            state = captioner.encode(prepared)
            for record, hypotheses in zip(readable, captioner.decode(state, decoding), strict=True):
                records.append(record)
                captions.append(captioner.bundle.vocabulary.decode(hypotheses[0].tokens))
            forcing.update(captioner, state, [record.references for record in readable])
    if not records:
        raise DataError(f"none of the {len(split_records)} images of the {split} split can be read: {problems[-1]}")
    facts = {"model": captioner.name, "data": dataset.layout, "split": split}
    evaluation = score_captions(
        records, captions, facts, dataset=dataset, decoding=decoding, meteor=meteor, spice=spice, problems=problems
    )
    return replace(evaluation, diversity=evaluation.diversity | forcing.measures())


def readable_batches(
    captioner: Captioner, records: Iterable[Record], batch: int = 8, problems: list[str] | None = None
) -> Iterator[tuple[list[Prepared], list[Record]]]:
    """Yield prepared images with their records; append the errors of images that cannot be read to `problems`."""
    problems = [] if problems is None else problems
    remaining = iter(records)
    while group := list(islice(remaining, batch)):
        prepared, readable = [], []
        for record in group:
            try:
                prepared.append(captioner.prepare(record.image))
                readable.append(record)
            except ImageError as error:
                problems.append(f"not scored: {error}")
        if readable:
            yield prepared, readable


@dataclass
class _TeacherForcing:
    """Word accuracy and perplexity of references, summed over batches."""

    words: int = 0
    correct: int = 0
    log_prob: float = 0.0

    def update(self, captioner: Captioner, state: DecoderState, references: Sequence[Sequence[str]]) -> None:
        """Add the references of images, one list for each row of the state."""
        vocabulary = captioner.bundle.vocabulary
        rows = np.repeat(np.arange(len(references)), [len(captions) for captions in references])
        targets = [[*vocabulary.encode(caption), vocabulary.end] for captions in references for caption in captions]
        tokens = np.full(len(rows), vocabulary.start)
        state = state.take(rows)
        for step in range(max(map(len, targets))):
            active = np.array([row for row, target in enumerate(targets) if step < len(target)])
            if len(active) < len(targets):  # drop references that have ended
                targets, tokens, state = [targets[row] for row in active], tokens[active], state.take(active)
            log_probs, state = captioner.step(tokens, state)
            tokens = np.array([target[step] for target in targets])
            self.words += len(tokens)
            self.correct += int((log_probs.argmax(axis=1) == tokens).sum())
            self.log_prob += float(log_probs[np.arange(len(tokens)), tokens].sum(dtype=np.float64))

    def measures(self) -> dict[str, float]:
        return {"word accuracy %": 100 * self.correct / self.words, "perplexity": math.exp(-self.log_prob / self.words)}
