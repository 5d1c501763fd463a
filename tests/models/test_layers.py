"""The LSTM and the attention equal torch's own."""

from __future__ import annotations

import torch

from looksay.models.layers import LSTM, MultiHeadAttention


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


def test_attention_equals_torch_multi_head_attention() -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(query_size=16, grid_size=16, size=16, heads=4).double()
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True).double()
    with torch.no_grad():
        for index, layer in enumerate((ours.query, ours.key, ours.value)):
            layer.weight.copy_(theirs.in_proj_weight[16 * index : 16 * (index + 1)])
            layer.bias.copy_(theirs.in_proj_bias[16 * index : 16 * (index + 1)])
        theirs.out_proj.weight.copy_(torch.eye(16))
        theirs.out_proj.bias.zero_()
    query, grid = torch.randn(3, 16).double(), torch.randn(3, 9, 16).double()
    context, weights = ours(query, *ours.project(grid))
    expected, expected_weights = theirs(query[:, None], grid, grid)
    torch.testing.assert_close(context, expected[:, 0])
    torch.testing.assert_close(weights, expected_weights[:, 0])


def test_the_rows_of_an_image_attend_to_its_grid_alone() -> None:
    attention = MultiHeadAttention(8, 12, 8, 2)
    grid, query = torch.randn(2, 5, 12), torch.randn(6, 8)
    keys, values = attention.project(grid)
    context, weights = attention(query, keys, values)
    repeated, repeated_weights = attention(query, keys.repeat_interleave(3, 0), values.repeat_interleave(3, 0))
    torch.testing.assert_close(context, repeated)
    torch.testing.assert_close(weights, repeated_weights)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6))
