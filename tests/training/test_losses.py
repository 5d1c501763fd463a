"""Loss functions equal their formulas, and ignore padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from looksay.models.decoder import PADDING
from looksay.training.caption_dataset import Batch
from looksay.training.losses import cross_entropy, distillation, doubly_stochastic, self_critical, word_accuracy


def test_label_smoothing_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    mean = -(torch.log(torch.tensor([0.7, 0.2, 0.1]))).mean()
    expected = 0.9 * -torch.log(torch.tensor(0.7)) + 0.1 * mean
    torch.testing.assert_close(cross_entropy(logits, torch.tensor([0]), 0.1), expected)


def test_padding_changes_neither_loss_nor_accuracy() -> None:
    """The words of two captions, padded to three and to five steps, score as the words alone."""
    words, logits = torch.tensor([1, 2, 3]), torch.randn(3, 5)
    for steps in (3, 5):
        targets = torch.full((2, steps), PADDING)
        targets[0, :2], targets[1, 0] = words[:2], words[2]
        padded = torch.full((2, steps, 5), float("nan"))
        padded[0, :2], padded[1, 0] = logits[:2], logits[2]
        indices = torch.from_numpy(np.flatnonzero(targets != PADDING))
        mirrored = np.zeros(2, dtype=bool)
        batch = Batch(torch.zeros(2, 1, 1), targets, targets, indices, ((0, 0), (1, 0)), mirrored, ())
        for loss in (cross_entropy, word_accuracy):
            torch.testing.assert_close(loss(batch.words_of(padded), batch.words_of(targets)), loss(logits, words))


def test_soft_targets_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]))
    tokens, probabilities = torch.tensor([[0, 2], [2, 1]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    p = torch.log(torch.tensor([0.7, 0.1, 0.8]))
    by_hand = -((0.75 * p[0] + 0.25 * p[1]) + (0.5 * p[2] + 0.5 * p[1])) / 2
    torch.testing.assert_close(distillation(logits, tokens, probabilities), by_hand)


def test_doubly_stochastic_attention_is_zero_if_uniform_over_a_caption() -> None:
    targets = torch.tensor([[1, 2, PADDING]])
    uniform = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    uneven = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    assert doubly_stochastic(uniform, targets) == 0
    assert doubly_stochastic(uneven, targets) == 1  # (2 - 1)^2 and (0 - 1)^2


def test_doubly_stochastic_attention_has_the_gradient_of_the_paper() -> None:
    targets = torch.ones(2, 5, dtype=torch.int64)
    scores = torch.randn(2, 5, 7, requires_grad=True)
    ours = torch.autograd.grad(doubly_stochastic(scores.softmax(-1), targets), scores)[0]
    paper = (1 - scores.softmax(-1).sum(dim=1)).square().mean()
    torch.testing.assert_close(ours, torch.autograd.grad(paper, scores)[0])


def test_self_critical_baseline_is_the_mean_of_the_other_samples() -> None:
    log_probs = torch.tensor([[-1.0, -2.0], [-3.0, 0.0], [-1.0, -1.0], [-1.0, -1.0]], requires_grad=True)
    sampled = torch.tensor([[5, 1], [1, PADDING], [5, 1], [6, 1]])
    loss = self_critical(log_probs, sampled, torch.tensor([3.0, 1.0, 2.0, 2.0]), captions=2)
    torch.testing.assert_close(loss, torch.tensor(-(2 * (-1 - 2) - 2 * -3 + 0) / 7))
    (gradient,) = torch.autograd.grad(loss, log_probs)
    assert (gradient[0] < 0).all()  # the better sample of an image becomes likelier
    assert gradient[1, 0] > 0
    assert gradient[1, 1] == 0
    assert (gradient[2:] == 0).all()


def test_self_critical_loss_of_two_devices_averages_to_the_loss_of_one() -> None:
    log_probs, rewards = torch.randn(4, 3), torch.rand(4)
    sampled = torch.tensor([[5, 1, PADDING], [4, 5, 1], [1, PADDING, PADDING], [5, 1, PADDING]])
    words = (sampled != PADDING).sum()
    parts = [self_critical(log_probs[rows], sampled[rows], rewards[rows], 2, words) for rows in ([0, 1], [2, 3])]
    assert float(sum(parts)) == pytest.approx(float(self_critical(log_probs, sampled, rewards, 2)))
