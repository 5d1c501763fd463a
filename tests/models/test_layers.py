"""The LSTM equals torch's own."""

from __future__ import annotations

import torch

from looksay.models.layers import LSTM


def test_a_step_equals_torch_lstm_cell() -> None:
    torch.manual_seed(0)
    ours, theirs = LSTM(5, 3), torch.nn.LSTMCell(5, 3)
    with torch.no_grad():
        ours.gates.weight.copy_(torch.cat([theirs.weight_ih, theirs.weight_hh], dim=1))
        ours.gates.bias.copy_(theirs.bias_ih + theirs.bias_hh)
    inputs, state = torch.randn(4, 5), (torch.randn(4, 3), torch.randn(4, 3))
    for actual, expected in zip(ours(inputs, state), theirs(inputs, state), strict=True):
        torch.testing.assert_close(actual, expected)


def test_static_gates_equal_the_projection_of_a_constant_input() -> None:
    lstm = LSTM(5, 3)
    inputs, state = torch.randn(4, 5), (torch.randn(4, 3), torch.randn(4, 3))
    changing = torch.cat([inputs[:, :2], torch.zeros(4, 3)], dim=1)
    static = inputs[:, 2:] @ lstm.gates.weight[:, 2:5].T
    for actual, expected in zip(lstm(changing, state, static), lstm(inputs, state), strict=True):
        torch.testing.assert_close(actual, expected)


def test_the_initialisation_is_that_of_torch() -> None:
    bound = 64**-0.5
    weight = LSTM(100, 64).gates.weight
    assert 0.99 * bound < weight.abs().max() <= bound


def test_the_cell_state_is_fp32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        hidden, cell = LSTM(5, 3)(torch.randn(4, 5), (torch.zeros(4, 3), torch.zeros(4, 3)))
    assert (hidden.dtype, cell.dtype) == (torch.bfloat16, torch.float32)
