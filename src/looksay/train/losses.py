"""What training makes small."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

PADDING = -100
"""The target where a caption has already ended."""


def cross_entropy(scores: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of a word, with label smoothing (Szegedy et al. 2016).

    Parameters
    ----------
    scores : Tensor, shape (words, vocabulary)
        Before the softmax.
    targets : Tensor of int, shape (words,)
        The words that should be said.
    smoothing : float
        The part of the probability that is spread over all words, 0 to 1.

    Returns
    -------
    Tensor, shape ()
    """
    return functional.cross_entropy(scores.float(), targets, label_smoothing=smoothing)


def word_accuracy(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the part of the words (see `cross_entropy`) that are the likeliest where they stand, 0 to 1."""
    return (scores.argmax(dim=-1) == targets).float().mean()


def doubly_stochastic(attention: Tensor, targets: Tensor) -> Tensor:
    """Return how far the attention of whole captions is from looking at every cell alike often.

    ``mean over captions and cells of (mean - sum over words of attention)^2``: the term of Xu et al. 2015, equation 14,
    per cell and but for a constant. (There stands 1 for the mean; as all attention of a caption sums to its number of
    words, the gradients are the same.)

    Parameters
    ----------
    attention : Tensor, shape (rows, steps, cells)
        Each step sums to 1.
    targets : Tensor of int, shape (rows, steps)
        Steps that are `PADDING` do not count.

    Returns
    -------
    Tensor, shape ()
    """
    counted = (targets != PADDING).unsqueeze(-1)
    looked = (attention * counted).sum(dim=1)
    return (looked - looked.mean(dim=1, keepdim=True)).square().mean()
