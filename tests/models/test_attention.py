"""Attention over a grid."""

from __future__ import annotations

import torch

from looksay.models.attention import MultiHeadAttention


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
