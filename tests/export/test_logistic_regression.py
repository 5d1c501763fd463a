"""A logistic regression finds what made its labels, from any start."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay.export import logistic_regression


def test_the_fit_finds_the_parameters_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(20_000, 2)) * [1.0, 5.0], np.ones(20_000)])
    made = np.array([1.5, -0.2, 0.5])
    labels = rng.random(20_000) < 1 / (1 + np.exp(-features @ made))
    assert logistic_regression.fit(features, labels, np.zeros(3), np.zeros(3)) == pytest.approx(made, abs=0.1)


def test_without_rows_the_parameters_are_the_prior() -> None:
    prior = np.array([1.0, -2.0])
    fitted = logistic_regression.fit(np.zeros((0, 2)), np.zeros(0, dtype=bool), prior, np.ones(2))
    assert fitted == pytest.approx(prior)


@given(st.floats(1, 10), st.floats(-5, 5))
def test_far_features_and_a_far_start_do_not_diverge(scale: float, start: float) -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([scale * (rng.normal(size=200) - 2), np.ones(200)])
    labels = features[:, 0] > np.median(features[:, 0])  # separable: only the penalty bounds the parameters
    fitted = logistic_regression.fit(features, labels, np.array([start, 0.0]), np.array([1e-3, 1e-3]))
    assert ((features @ fitted > 0) == labels).mean() > 0.97
