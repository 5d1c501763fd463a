"""Logistic regression with a Gaussian prior, by Newton's method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEPS = 50
_HALVINGS = 20
_CONVERGED = 1e-9  # of the loss


def fit(
    features: NDArray[np.float64], labels: NDArray[np.bool_], prior: NDArray[np.float64], penalty: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the parameters (features,) of a logistic regression.

    They minimise the sum of the log-losses of `labels` (rows,), given `features` (rows, features), plus half the sum of
    ``penalty * (parameters - prior) ** 2``. A Newton step that would raise this loss is halved until it lowers it.
    """

    def loss(parameters: NDArray[np.float64]) -> float:
        odds = features @ parameters
        log_losses = np.logaddexp(0, odds) - labels * odds
        return float(log_losses.sum() + (penalty * (parameters - prior) ** 2).sum() / 2)

    parameters, lowest = prior, loss(prior)
    for _ in range(_STEPS):
        probabilities = np.exp(-np.logaddexp(0, -features @ parameters))
        gradient = (probabilities - labels) @ features + penalty * (parameters - prior)
        weighted = features * (probabilities * (1 - probabilities))[:, None]
        step = np.linalg.solve(weighted.T @ features + np.diag(penalty), gradient)
        steps = (step / 2**halvings for halvings in range(_HALVINGS))
        better = next((new for part in steps if loss(new := parameters - part) < lowest), None)
        if better is None or lowest - loss(better) < _CONVERGED * lowest:
            break
        parameters, lowest = better, loss(better)
    return parameters
