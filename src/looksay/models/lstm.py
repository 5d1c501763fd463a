"""The LSTM cell of every decoder (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTM(nn.Module):
    """One step of an LSTM, equal to `torch.nn.LSTMCell` with one matrix product and one bias in place of two.

    Parameters
    ----------
    input_size, size : int
        Features of the input and of the state.
    """

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.gates = nn.Linear(input_size + size, 4 * size)
        for weights in self.gates.parameters():  # the initialisation of torch.nn.LSTMCell
            nn.init.uniform_(weights, -(size**-0.5), size**-0.5)

    def forward(
        self, inputs: Tensor, state: tuple[Tensor, Tensor], static_gates: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the next hidden and cell state, each (rows, size).

        Parameters
        ----------
        inputs : Tensor, shape (rows, input_size)
        state : (Tensor, Tensor), each of shape (rows, size)
            Hidden and cell state.
        static_gates : Tensor, shape (rows, 4 * size), optional
            Added to the gates: the projection of an input that is the same at every step.
        """
        hidden, cell = state
        gates = self.gates(torch.cat([inputs, hidden], dim=1))
        gates = gates if static_gates is None else gates + static_gates
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
        # The cell state sums over all steps: it stays in fp32 where autocast computes the gates in bf16.
        cell = forget_gate.sigmoid() * cell.float() + input_gate.sigmoid() * candidate.tanh()
        return (output_gate.sigmoid() * cell.tanh()).to(gates.dtype), cell
