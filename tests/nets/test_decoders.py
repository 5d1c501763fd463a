"""A decoder must learn what it will be asked: teacher forcing and step-by-step decoding are the same sum."""

from __future__ import annotations

import pytest
import torch

from looksay import RecipeError
from looksay.nets.attention import MultiHeadAttention
from looksay.nets.decoders import DECODERS, Decoder, build


def small(name: str) -> Decoder:
    torch.manual_seed(0)
    return build(name, 12, 20, size=16, heads=4, dropout=0.5).eval()


@pytest.mark.parametrize("name", DECODERS)
def test_teacher_forcing_scores_what_stepping_scores(name: str) -> None:
    decoder, grid, tokens = small(name), torch.randn(2, 9, 12), torch.randint(20, (6, 5))
    scores = decoder(grid, tokens)
    assert scores.shape == (6, 5, 20)
    memory, state = decoder.begin(grid)
    memory = {k: v.repeat_interleave(3, 0) for k, v in memory.items()}
    state = {k: v.repeat_interleave(3, 0) for k, v in state.items()}
    for step in range(5):
        output, state, attention = decoder.step(decoder.embedding(tokens[:, step]), memory, state)
        torch.testing.assert_close(decoder.words(output), scores[:, step])
        torch.testing.assert_close(attention.sum(dim=1), torch.ones(6))


@pytest.mark.parametrize("name", DECODERS)
def test_a_score_depends_on_the_picture_and_on_earlier_words_alone(name: str) -> None:
    decoder, grid, tokens = small(name), torch.randn(1, 9, 12), torch.randint(20, (1, 5))
    scores = decoder(grid, tokens)
    other = tokens.clone()
    other[0, 3] = (other[0, 3] + 1) % 20
    changed = (decoder(grid, other) - scores).abs().amax(dim=2)[0]
    assert changed[:3].max() == 0
    assert changed[3:].min() > 0
    assert (decoder(grid + 1, tokens) - scores).abs().amax(dim=2).min() > 0


@pytest.mark.parametrize("name", DECODERS)
def test_every_weight_learns(name: str) -> None:
    decoder = small(name).train()
    decoder(torch.randn(2, 9, 12), torch.randint(20, (4, 5))).square().sum().backward()
    assert [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] in (
        [],
        ["attention.key.bias"],
    )


def test_keys_are_projected_once_a_picture_not_once_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, calls = small("top-down"), list[torch.Size]()
    project = MultiHeadAttention.project

    def counted(self: MultiHeadAttention, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(grid.shape)
        return project(self, grid)

    monkeypatch.setattr(MultiHeadAttention, "project", counted)
    decoder(torch.randn(2, 9, 12), torch.randint(20, (10, 5)))
    assert calls == [(2, 9, 16)]


def test_mistakes_name_the_key() -> None:
    with pytest.raises(RecipeError, match=r"decoder\.name=gru: .* there are top-down"):
        build("gru", 12, 20, size=16, heads=4, dropout=0)
    with pytest.raises(RecipeError, match=r"decoder\.size=10 is not a multiple of decoder\.heads=4"):
        build("top-down", 12, 20, size=10, heads=4, dropout=0)
