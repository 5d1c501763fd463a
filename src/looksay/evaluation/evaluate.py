"""A model and a data set → captions, and how surely the model would have said what people said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from looksay.captioner import Captioner, Prepared
from looksay.data import Dataset, Record
from looksay.data.memmap_store import progress
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import DecoderState
from looksay.errors import DataError, ImageError, require
from looksay.evaluation.scoring import Evaluation, judge
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
    """Caption a split as users would, and score it.

    SidecarWriter the scores of `looksay.metrics.score`, `health` then has ``word accuracy %`` and ``perplexity`` of the
    references, each word read after people's own words before it (teacher forcing), ``<end>`` included. A word
    that the model does not know counts as ``<unk>``.

    Parameters
    ----------
    captioner : Captioner
    dataset : Dataset
    split : str
    batch : int
        CaptionDataset captioned together.
    meteor, spice : bool
        See `looksay.metrics.score`.
    **options
        Any of `DecodingOptions`, in place of the model's own.

    Raises
    ------
    DataError
        If the split is empty or none of its images can be read.
    OptionError
        If an option is out of its range.
    MissingExtra, MetricError
        If METEOR or SPICE cannot run: said before any image is captioned.
    """
    search = replace(captioner.bundle.spec.decoding, **options)
    require(batch >= 1, f"batch is {batch}; it must be 1 or more")
    java.check(meteor=meteor, spice=spice)
    records, said, forced, problems = [], [], _Forced(), list(dataset.problems)
    wanted = dataset.split(split)
    with progress(wanted, len(wanted), "captioning") as wanted_images:
        coming = iter(wanted_images)
        while group := list(islice(coming, batch)):
            images, group_records = prepare_readable(captioner, group, problems)
            if not group_records:
                continue
            state = captioner.encode(images)
            for record, found in zip(group_records, captioner.decode(state, search), strict=True):
                records.append(record)
                said.append(captioner.bundle.vocabulary.decode(found[0].tokens))
            forced.read(captioner, state, [record.references for record in group_records])
    if not records:
        raise DataError(f"none of the {len(wanted)} images of the {split} split could be read: {problems[-1]}")
    facts = {
        "model": captioner.name,
        "data": dataset.layout,
        "split": split,
        "search": _told(search),
    }
    judged = judge(records, said, facts, dataset=dataset, meteor=meteor, spice=spice, problems=problems)
    return replace(judged, health=judged.health | forced.figures())


def _told(search: DecodingOptions) -> dict[str, Any]:
    """Return the options that shape every search, and those that are not as usual."""
    usual = asdict(DecodingOptions())
    return {
        name: value
        for name, value in asdict(search).items()
        if name in ("num_beams", "max_length", "length_penalty") or (value != usual[name] and name != "num_captions")
    }


def prepare_readable(
    captioner: Captioner, group: Sequence[Record], problems: list[str]
) -> tuple[list[Prepared], list[Record]]:
    """Prepare those images of a group that can be read; note why the others cannot."""
    images, records = [], []
    for record in group:
        try:
            images.append(captioner.prepare(record.image))
            records.append(record)
        except ImageError as error:
            problems.append(f"not scored: {error}")
    return images, records


@dataclass
class _Forced:
    """Teacher-forced figures, summed up batch by batch."""

    words: int = 0
    right: int = 0
    log_prob: float = 0.0

    def read(self, captioner: Captioner, state: DecoderState, references: Sequence[Sequence[str]]) -> None:
        """Let the decoder read the references of images, a row each."""
        vocabulary = captioner.bundle.vocabulary
        rows = np.repeat(np.arange(len(references)), [len(captions) for captions in references])
        targets = [[*vocabulary.encode(caption), vocabulary.end] for captions in references for caption in captions]
        tokens = np.full(len(rows), vocabulary.start)
        state = state.take(rows)
        for step in range(max(map(len, targets))):
            going = np.array([row for row, target in enumerate(targets) if step < len(target)])
            if len(going) < len(targets):  # captions that have ended are read no further
                targets, tokens, state = [targets[row] for row in going], tokens[going], state.take(going)
            log_probs, state = captioner.step(tokens, state)
            wanted = np.array([target[step] for target in targets])
            self.words += len(wanted)
            self.right += int((log_probs.argmax(axis=1) == wanted).sum())
            self.log_prob += float(log_probs[np.arange(len(wanted)), wanted].sum(dtype=np.float64))
            tokens = wanted

    def figures(self) -> dict[str, float]:
        return {
            "word accuracy %": 100 * self.right / self.words,
            "perplexity": math.exp(-self.log_prob / self.words),
        }
