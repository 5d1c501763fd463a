"""The LSTM of every decoder (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTM(nn.Module):
    """One step of an LSTM, equal to `torch.nn.LSTMCell`; what it reads and its state go through one matrix product.

    Torch's own makes two products, and adds two biases where one does.

    Parameters
    ----------
    reads : int
        Features of what it reads at each step.
    size : int
        Features of its state.
    """

    def __init__(self, reads: int, size: int) -> None:
        super().__init__()
        self.gates = nn.Linear(reads + size, 4 * size)
        for weights in self.gates.parameters():  # as torch's own begins
            nn.init.uniform_(weights, -(size**-0.5), size**-0.5)

    def forward(self, read: Tensor, state: tuple[Tensor, Tensor], given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read once.

        Parameters
        ----------
        read : Tensor, shape (rows, reads)
        state : (Tensor, Tensor), each of shape (rows, size)
            Hidden and cell.
        given : Tensor, shape (rows, 4 * size), optional
            What counts in the gates at every step alike, and is not worth a product at each.

        Returns
        -------
        hidden, cell : Tensor, shape (rows, size)
        """
        hidden, cell = state
        gates = self.gates(torch.cat([read, hidden], dim=1))
        take, keep, new, show = (gates if given is None else gates + given).chunk(4, dim=1)
        cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
        return show.sigmoid() * cell.tanh(), cell
