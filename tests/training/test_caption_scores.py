"""The torchmetrics metric gives the scores of papers in any training loop."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn
from torchmetrics import MetricCollection

from looksay import DataError
from looksay.metrics import score
from looksay.training import caption_scores
from looksay.training.caption_scores import CaptionScores

CAPTIONS = ["a dog runs", "two men talk", "ein Hund läuft", "a boat"]
REFERENCES = [["a dog is running", "the dog runs"], ["two men are talking"], ["der Hund läuft"], ["a boat", "boats"]]


def test_batches_score_as_the_whole_corpus_and_reset_clears() -> None:
    metric = MetricCollection({"captions": CaptionScores()})
    for _ in range(2):
        metric.update(CAPTIONS[:3], REFERENCES[:3])
        metric.update(CAPTIONS[3:], REFERENCES[3:])
        scores = {name: float(value) for name, value in metric.compute().items()}
        assert scores == pytest.approx(score(CAPTIONS, REFERENCES), abs=1e-6)
        metric.reset()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_mismatched_inputs_are_refused_at_once() -> None:
    metric = CaptionScores()
    for captions, references in ((["a dog"], ["a dog"]), ("a dog", ["a dog"]), (["a"], [])):
        with pytest.raises(DataError):
            metric.update(captions, references)
    with pytest.raises(DataError, match="nothing to score"):
        metric.compute()
    metric.update([], [])


def _process(rank: int, rendezvous: str, file: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    metric = CaptionScores()
    metric.update(CAPTIONS[rank::2], REFERENCES[rank::2])
    if rank == 0:
        torch.save(metric.compute(), file)
    else:
        metric.compute()
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_score_all_captions(tmp_path: Path) -> None:
    spawn(_process, (str(tmp_path / "rendezvous"), str(tmp_path / "scores.pt")), nprocs=2)  # type: ignore[no-untyped-call]
    scores = {name: float(value) for name, value in torch.load(tmp_path / "scores.pt").items()}
    assert scores == pytest.approx(score(CAPTIONS, REFERENCES), abs=1e-6)


def test_the_docstring_example() -> None:
    assert doctest.testmod(caption_scores).failed == 0
