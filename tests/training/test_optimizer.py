"""The learning-rate schedule: warm-up, cosine decay, and later starts for encoder stages."""

from __future__ import annotations

import pytest

from looksay.training.optimizer import warmup_cosine


def test_the_learning_rate_warms_up_and_decays_to_zero() -> None:
    rates = [warmup_cosine(step, first=0, warmup=10, steps=100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_rate_of_a_stage_warms_up_when_it_is_unfrozen() -> None:
    rates = [warmup_cosine(step, first=40, warmup=10, steps=100) for step in range(101)]
    assert rates[:40] == [0] * 40
    assert rates[40] == pytest.approx(0.1)
    assert rates[49] == 1
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
