"""Decoders: teacher forcing equals step-by-step decoding, for every design."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from looksay import RecipeError
from looksay.models.attention import MultiHeadAttention
from looksay.models.caption_model import DECODERS, build_decoder
from looksay.models.decoder import PADDING, Decoder
from looksay.models.layers import WordEmbedding


def small(name: str) -> Decoder:
    torch.manual_seed(0)
    return build_decoder(name, 12, WordEmbedding(20, 16, 16, 0.5), 20, size=16, heads=4, dropout=0.5).eval()


@pytest.mark.parametrize("name", DECODERS)
def test_teacher_forcing_equals_stepping(name: str) -> None:
    decoder, grid, tokens = small(name), torch.randn(2, 9, 12), torch.randint(20, (6, 5))
    outputs, attentions = decoder(grid, tokens)
    scores = decoder.output_head(outputs)
    assert scores.shape == (6, 5, 20)
    memory, state = decoder.begin(grid)
    memory = {k: v.repeat_interleave(3, 0) for k, v in memory.items()}
    state = {k: v.repeat_interleave(3, 0) for k, v in state.items()}
    for step in range(5):
        output, state, attention = decoder.step(decoder.embedding(tokens[:, step]), memory, state)
        torch.testing.assert_close(decoder.output_head(output), scores[:, step])
        torch.testing.assert_close(attention.sum(dim=1), torch.ones(6))
        torch.testing.assert_close(attention, attentions[:, step])


@pytest.mark.parametrize("name", DECODERS)
def test_finished_captions_are_skipped_and_the_others_unchanged(name: str) -> None:
    decoder, grid = small(name), torch.randn(3, 4, 12)
    tokens, lengths = torch.randint(20, (6, 4)), torch.tensor([4, 2, 3, 1, 1, 1])
    is_word = torch.arange(4) < lengths[:, None]
    full, full_attention = decoder(grid, tokens)
    active = [(3, 2), (2, 2), (2, 1), (1, 1)]
    decoder(grid, tokens, 0.9, active)  # together with scheduled sampling
    short, attention = decoder(grid, tokens, active=active)
    torch.testing.assert_close(short[is_word], full[is_word])
    torch.testing.assert_close(attention[is_word], full_attention[is_word])
    assert not short[4:, 1:].any()
    assert not short[2:, 3].any()


@pytest.mark.parametrize("name", DECODERS)
def test_logits_depend_on_the_image_and_on_earlier_words_alone(name: str) -> None:
    decoder, grid, tokens = small(name), torch.randn(1, 9, 12), torch.randint(20, (1, 5))
    scores = decoder.output_head(decoder(grid, tokens)[0])
    other = tokens.clone()
    other[0, 3] = (other[0, 3] + 1) % 20
    changed = (decoder.output_head(decoder(grid, other)[0]) - scores).abs().amax(dim=2)[0]
    assert changed[:3].max() == 0
    assert changed[3:].min() > 0
    assert (decoder.output_head(decoder(grid + 1, tokens)[0]) - scores).abs().amax(dim=2).min() > 0


@pytest.mark.parametrize("name", DECODERS)
def test_every_weight_gets_a_gradient(name: str) -> None:
    decoder = small(name).train()
    outputs, _ = decoder(torch.randn(2, 9, 12), torch.randint(20, (4, 5)))
    decoder.output_head(outputs).square().sum().backward()
    assert [n for n, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] in (
        [],
        ["attention.key.bias"],
    )


def test_keys_are_projected_once_per_image(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, calls = small("top-down"), list[torch.Size]()
    project = MultiHeadAttention.project

    def counted(self: MultiHeadAttention, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(grid.shape)
        return project(self, grid)

    monkeypatch.setattr(MultiHeadAttention, "project", counted)
    decoder(torch.randn(2, 9, 12), torch.randint(20, (10, 5)))
    assert calls == [(2, 9, 16)]


def test_errors_name_the_key() -> None:
    words = WordEmbedding(20, 8, 16, 0)
    with pytest.raises(
        RecipeError, match=r"embedding\.tied=true needs embedding\.size \(8\) equal to decoder\.size \(16\)"
    ):
        build_decoder("merge", 12, words, 20, size=16, heads=4, dropout=0, tied=True)
    with pytest.raises(RecipeError, match=r"decoder\.name=gru is unknown: use one of merge, .*top-down"):
        build_decoder("gru", 12, words, 20, size=16, heads=4, dropout=0)
    with pytest.raises(RecipeError, match=r"decoder\.size=10 is not a multiple of decoder\.heads=4"):
        build_decoder("top-down", 12, words, 20, size=10, heads=4, dropout=0)


@pytest.mark.parametrize("name", DECODERS)
def test_a_tied_embedding_is_the_output_layer(name: str) -> None:
    words = WordEmbedding(20, 16, 16, 0.0)
    decoder = build_decoder(name, 12, words, 20, size=16, heads=4, dropout=0.0, tied=True)
    outputs, _ = decoder(torch.randn(2, 9, 12), torch.zeros(2, 3, dtype=torch.int64))
    decoder.output_head(outputs).sum().backward()
    assert decoder.output_head[-1].weight is words.table.weight
    assert words.table.weight.grad is not None
    assert words.table.weight.grad[1:].any()  # words that were never read get gradients from the output layer


def test_word_vectors_are_projected_to_the_size_of_the_decoder_and_can_be_frozen() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    words = WordEmbedding(20, 5, 16, 0.0, vectors, trainable=False)
    assert words(torch.zeros(2, 3, dtype=torch.int64)).shape == (2, 3, 16)
    words(torch.arange(20)).sum().backward()
    assert words.table.weight.grad is None
    torch.testing.assert_close(words.table.weight, torch.from_numpy(vectors))
    (projection, _) = words.projection.parameters()
    assert projection.grad is not None


@pytest.mark.parametrize("name", ["soft-attention", "adaptive", "top-down"])
def test_attention_finds_the_cell_that_matters(name: str) -> None:
    """A decoder trained to name the content of one cell attends to that cell."""
    torch.manual_seed(0)
    decoder = build_decoder(name, 8, WordEmbedding(6, 32, 32, 0.0), 6, size=32, heads=1, dropout=0.0)
    optimizer = torch.optim.Adam(decoder.parameters(), 5e-3)
    kind, place = torch.randint(6, (64,)), torch.randint(9, (64,))
    grid = torch.zeros(64, 9, 8)
    grid[torch.arange(64), place, kind] = 1
    grid[:, :, 6] = torch.rand(64, 9)
    tokens = torch.zeros(64, 2, dtype=torch.int64)
    for _ in range(150):
        outputs, attentions = decoder(grid, tokens)
        scores = decoder.output_head(outputs)
        loss = torch.nn.functional.cross_entropy(scores[:, 1], kind)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (scores[:, 1].argmax(dim=1) == kind).float().mean() > 0.95
    assert attentions[torch.arange(64), 1, place].mean() > 2 / 9


def test_scheduled_sampling_replaces_words_at_its_rate() -> None:
    """A decoder that always predicts token 7 reads 7 in place of the references."""
    torch.manual_seed(0)
    decoder = small("init-inject")
    with torch.no_grad():
        bias = decoder.output_head[-1].get_parameter("bias")
        bias.fill_(-100)
        bias[7] = 100
    tokens, grid = torch.randint(1, 6, (400, 3)), torch.randn(400, 9, 12)
    read: list[torch.Tensor] = []
    decoder.embedding.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    decoder(grid, tokens, 0.25)
    _, second, third = read
    for step, words in ((1, second), (2, third)):
        own = words == 7
        assert own.float().mean() == pytest.approx(0.25, abs=0.08)
        assert torch.equal(words[~own], tokens[~own, step])
    read.clear()
    decoder(grid, tokens)
    assert len(read) == 1


@pytest.mark.parametrize("name", DECODERS)
def test_tied_words_start_equally_likely(name: str) -> None:
    """Word vectors are larger than the weights of a layer: unscaled, the first loss is dozens, not log(words)."""
    torch.manual_seed(0)
    words, size = 500, 64
    decoder = build_decoder(
        name, 32, WordEmbedding(words, size, size, 0.0), words, size=size, heads=4, dropout=0.0, tied=True
    )
    with torch.no_grad():
        outputs, _ = decoder(torch.randn(2, 9, 32), torch.randint(words, (2, 7)))
        log_probs = decoder.output_head(outputs).log_softmax(dim=-1)
    assert -float(log_probs.mean()) < math.log(words) + 2


@pytest.mark.parametrize("name", DECODERS)
def test_sampled_captions_have_the_log_probabilities_of_teacher_forcing(name: str) -> None:
    decoder, grid = small(name), torch.randn(2, 9, 12)
    sampled, log_probs = decoder.sample(grid, 3, start=0, end=1, max_length=40)
    assert sampled.shape == log_probs.shape
    assert sampled.shape[0] == 6
    is_word = sampled != PADDING
    assert all(
        row[count - 1] == 1 or count == 41 for row, count in zip(sampled.tolist(), is_word.sum(1).tolist(), strict=True)
    )
    read = torch.cat([torch.zeros(6, 1, dtype=torch.int64), sampled[:, :-1].clamp(min=0)], dim=1)
    outputs, _ = decoder(grid, read)
    expected = decoder.output_head(outputs).log_softmax(-1).gather(2, sampled.clamp(min=0)[..., None])[..., 0]
    torch.testing.assert_close(log_probs[is_word], expected[is_word], rtol=1e-4, atol=1e-5)
    assert log_probs.requires_grad
    assert (log_probs[~is_word] == 0).all()


def test_words_are_sampled_at_the_rate_of_their_probability() -> None:
    torch.manual_seed(0)
    decoder, grid = small("merge"), torch.randn(1, 9, 12)
    with torch.no_grad():
        sampled, _ = decoder.sample(grid, 20_000, start=0, end=1, max_length=1)
        outputs, _ = decoder(grid, torch.zeros(1, 1, dtype=torch.int64))
        likely = decoder.output_head(outputs)[0, 0].softmax(-1)
    often = torch.bincount(sampled[:, 0], minlength=20) / len(sampled)
    torch.testing.assert_close(often, likely, atol=0.015, rtol=0)
