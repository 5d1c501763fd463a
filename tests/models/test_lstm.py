"""The LSTM must be the LSTM that everybody means."""

from __future__ import annotations

import torch

from looksay.models.lstm import LSTM


def test_it_equals_torchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = LSTM(5, 3), torch.nn.LSTMCell(5, 3)
    with torch.no_grad():
        ours.gates.weight.copy_(torch.cat([theirs.weight_ih, theirs.weight_hh], dim=1))
        ours.gates.bias.copy_(theirs.bias_ih + theirs.bias_hh)
    read, state = torch.randn(4, 5), (torch.randn(4, 3), torch.randn(4, 3))
    for found, expected in zip(ours(read, state), theirs(read, state), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_is_given_counts_like_what_is_read() -> None:
    lstm = LSTM(5, 3)
    read, state = torch.randn(4, 5), (torch.randn(4, 3), torch.randn(4, 3))
    some = torch.cat([read[:, :2], torch.zeros(4, 3)], dim=1)
    given = read[:, 2:] @ lstm.gates.weight[:, 2:5].T
    for found, expected in zip(lstm(some, state, given), lstm(read, state), strict=True):
        torch.testing.assert_close(found, expected)


def test_it_begins_like_torchs_own() -> None:
    bound = 64**-0.5
    weight = LSTM(100, 64).gates.weight
    assert 0.99 * bound < weight.abs().max() <= bound
