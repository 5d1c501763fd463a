"""Who trains with a loop of their own watches the scores that papers report."""

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

SAID = ["a dog runs", "two men talk", "ein Hund läuft", "a boat"]
WANTED = [["a dog is running", "the dog runs"], ["two men are talking"], ["der Hund läuft"], ["a boat", "boats"]]


def test_batches_score_as_the_whole_and_reset_forgets() -> None:
    metric = MetricCollection({"captions": CaptionScores()})
    for _ in range(2):
        metric.update(SAID[:3], WANTED[:3])
        metric.update(SAID[3:], WANTED[3:])
        found = {name: float(value) for name, value in metric.compute().items()}
        assert found == pytest.approx(score(SAID, WANTED), abs=1e-6)
        metric.reset()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_what_does_not_fit_together_is_refused_at_once() -> None:
    metric = CaptionScores()
    for said, wanted in ((["a dog"], ["a dog"]), ("a dog", ["a dog"]), (["a"], [])):
        with pytest.raises(DataError):
            metric.update(said, wanted)
    with pytest.raises(DataError, match="nothing to score"):
        metric.compute()
    metric.update([], [])


def _rank(rank: int, meeting: str, file: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    metric = CaptionScores()
    metric.update(SAID[rank::2], WANTED[rank::2])
    if rank == 0:
        torch.save(metric.compute(), file)
    else:
        metric.compute()
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_score_all_captions(tmp_path: Path) -> None:
    spawn(_rank, (str(tmp_path / "meeting"), str(tmp_path / "scores.pt")), nprocs=2)  # type: ignore[no-untyped-call]
    found = {name: float(value) for name, value in torch.load(tmp_path / "scores.pt").items()}
    assert found == pytest.approx(score(SAID, WANTED), abs=1e-6)


def test_its_example_is_true() -> None:
    assert doctest.testmod(caption_scores).failed == 0
