"""Loss functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from looksay.models.decoder import PADDING


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy over words of `logits` (words, vocab) and `targets` (words,).

    `smoothing` is the part of the probability, 0 to 1, that is spread over the vocabulary (Szegedy et al. 2016).
    """
    return functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def distillation(logits: Tensor, tokens: Tensor, probabilities: Tensor) -> Tensor:
    """Return the mean cross-entropy over words of `logits` (words, vocab) against soft targets (Hinton et al. 2015).

    They are the teachers' top tokens (words, top) and their probabilities (words, top), which sum to 1 in each row.
    """
    log_probs = logits.float().log_softmax(dim=-1).gather(1, tokens)
    return -(probabilities * log_probs).sum(dim=1).mean()


def detection(logits: Tensor, frequencies: Tensor) -> Tensor:
    """Return the binary cross-entropy of logits (images, words), the sum over words, the mean over images.

    `frequencies` (images, words) are the parts, 0 to 1, of an image's captions that have a word. They make the
    probabilities those that one person's caption has it, however many captions an image has.
    """
    return functional.binary_cross_entropy_with_logits(logits.float(), frequencies, reduction="sum") / len(logits)


def word_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the fraction of words (see `cross_entropy`) whose logit is the largest, 0 to 1."""
    return (logits.argmax(dim=-1) == targets).float().mean()


def self_critical(
    log_probs: Tensor, sampled: Tensor, rewards: Tensor, captions: int, words: Tensor | None = None
) -> Tensor:
    """Return the self-critical loss, the mean over sampled words (Rennie et al. 2017).

    The baseline of a caption is the mean reward of the other samples of its image (Luo 2020).

    Parameters
    ----------
    log_probs, sampled : Tensor, shape (rows, steps)
        Log-probabilities of the sampled words, and their ids; steps of `PADDING` are ignored.
    rewards : Tensor, shape (rows,)
    captions : int
        Samples of each image, 2 or more; they are adjacent.
    words : Tensor, shape (), optional
        Divide by this number instead of the number of sampled words.
    """
    per_image = rewards.view(-1, captions)
    baseline = (per_image.sum(dim=1, keepdim=True) - per_image) / (captions - 1)
    advantage = (per_image - baseline).view(-1, 1)
    is_word = sampled != PADDING
    return -torch.where(is_word, advantage * log_probs, 0.0).sum() / (is_word.sum() if words is None else words)


def doubly_stochastic(attention: Tensor, targets: Tensor) -> Tensor:
    """Return the penalty for attention that over a caption is not uniform over the cells.

    ``mean over captions and cells of (mean - sum over words of attention)^2``: equation 14 of Xu et al. 2015, per cell
    and up to a constant. (The paper has 1 in place of the mean. The attention of a caption sums to its number of
    words, so the gradients are the same.) `attention` (rows, steps, cells) sums to 1 at each step; steps of `PADDING`
    in `targets` (rows, steps) are ignored.
    """
    total = (attention * (targets != PADDING).unsqueeze(-1)).sum(dim=1)
    return (total - total.mean(dim=1, keepdim=True)).square().mean()
