"""What training makes small."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from looksay.models.decoder import PADDING


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


def distillation(scores: Tensor, words: Tensor, probabilities: Tensor) -> Tensor:
    """Return the mean cross-entropy of a word against what teachers would say there (Hinton et al. 2015).

    Parameters
    ----------
    scores : Tensor, shape (words, vocabulary)
        Before the softmax.
    words : Tensor of int, shape (words, likeliest)
        The teachers' likeliest words.
    probabilities : Tensor, shape (words, likeliest)
        Theirs; each row sums to 1.

    Returns
    -------
    Tensor, shape ()
    """
    log_probs = scores.float().log_softmax(dim=-1).gather(1, words)
    return -(probabilities * log_probs).sum(dim=1).mean()


def word_accuracy(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the part of the words (see `cross_entropy`) that are the likeliest where they stand, 0 to 1."""
    return (scores.argmax(dim=-1) == targets).float().mean()


def self_critical(log_probs: Tensor, said: Tensor, rewards: Tensor, captions: int) -> Tensor:
    """Return the loss whose gradient makes drawn captions that beat their fellows likelier (Rennie et al. 2017).

    The baseline of a caption is the mean reward of the others that were drawn of the same image (Luo 2020).

    Parameters
    ----------
    log_probs : Tensor, shape (rows, steps)
        Of the words drawn.
    said : Tensor of int, shape (rows, steps)
        Steps that are `PADDING` do not count.
    rewards : Tensor, shape (rows,)
    captions : int
        Of each image, 2 or more; they stand together.

    Returns
    -------
    Tensor, shape ()
    """
    each = rewards.view(-1, captions)
    better = (each - (each.sum(dim=1, keepdim=True) - each) / (captions - 1)).view(-1, 1)
    counted = said != PADDING
    return -(better * log_probs)[counted].mean()


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
