"""The loss must be the formula, and padding must teach nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from looksay.models.decoder import PADDING
from looksay.training.batches import Batch
from looksay.training.losses import cross_entropy, doubly_stochastic, self_critical, word_accuracy
from looksay.training.module import warm_cosine


def test_label_smoothing_by_hand() -> None:
    scores = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    mean = -(torch.log(torch.tensor([0.7, 0.2, 0.1]))).mean()
    expected = 0.9 * -torch.log(torch.tensor(0.7)) + 0.1 * mean
    torch.testing.assert_close(cross_entropy(scores, torch.tensor([0]), 0.1), expected)


def test_padding_counts_for_nothing() -> None:
    targets = torch.tensor([[1, 2, PADDING], [3, PADDING, PADDING]])
    batch = Batch(
        torch.zeros(2, 1, 1), torch.zeros_like(targets), targets, ((0, 0), (1, 0)), np.zeros(2, dtype=bool), ()
    )
    scores = torch.randn(2, 3, 5)
    assert batch.targets[batch.counted].tolist() == [1, 2, 3]
    torch.testing.assert_close(scores[batch.counted], torch.stack([scores[0, 0], scores[0, 1], scores[1, 0]]))
    right = torch.nn.functional.one_hot(torch.tensor([1, 2, 0]), 5).float()
    assert word_accuracy(right, batch.targets[batch.counted]) == pytest.approx(2 / 3)


def test_the_learning_rate_rises_falls_and_ends_at_zero() -> None:
    rates = [warm_cosine(step, first=0, warmup=10, steps=100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_rate_of_what_begins_to_learn_later_rises_then() -> None:
    rates = [warm_cosine(step, first=40, warmup=10, steps=100) for step in range(101)]
    assert rates[:40] == [0] * 40
    assert rates[40] == pytest.approx(0.1)
    assert rates[49] == 1
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)


def test_the_doubly_stochastic_term_is_zero_where_every_cell_is_looked_at_alike_often() -> None:
    targets = torch.tensor([[1, 2, PADDING]])
    fair = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    unfair = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    assert doubly_stochastic(fair, targets) == 0
    assert doubly_stochastic(unfair, targets) == 1  # (2 - 1)^2 and (0 - 1)^2


def test_its_gradient_is_that_of_the_papers_term() -> None:
    targets = torch.ones(2, 5, dtype=torch.int64)
    energies = torch.randn(2, 5, 7, requires_grad=True)
    ours = torch.autograd.grad(doubly_stochastic(energies.softmax(-1), targets), energies)[0]
    paper = (1 - energies.softmax(-1).sum(dim=1)).square().mean()
    torch.testing.assert_close(ours, torch.autograd.grad(paper, energies)[0])


def test_a_drawn_caption_is_compared_with_its_fellows() -> None:
    log_probs = torch.tensor([[-1.0, -2.0], [-3.0, 0.0], [-1.0, -1.0], [-1.0, -1.0]], requires_grad=True)
    said = torch.tensor([[5, 1], [1, PADDING], [5, 1], [6, 1]])
    loss = self_critical(log_probs, said, torch.tensor([3.0, 1.0, 2.0, 2.0]), captions=2)
    torch.testing.assert_close(loss, torch.tensor(-(2 * (-1 - 2) - 2 * -3 + 0) / 7))
    (gradient,) = torch.autograd.grad(loss, log_probs)
    assert (gradient[0] < 0).all()  # the better one of an image becomes likelier
    assert gradient[1, 0] > 0
    assert gradient[1, 1] == 0
    assert (gradient[2:] == 0).all()
