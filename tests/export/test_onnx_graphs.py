"""Every decoder, on a feature map or on pooled features, computes the same in its exported graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, PHOTOS, ROOT, TINY

from looksay.captioner import Captioner
from looksay.data import Record
from looksay.export import onnx_graphs, parity
from looksay.export.onnx_graphs import DecoderStep, EncoderGraph
from looksay.models.caption_model import DECODERS, CaptionModel
from looksay.runtime import bundle
from looksay.runtime.bundle import Bundle
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build, recipe_file
from looksay.training.recipe import Recipe
from looksay.types import ModelSpec

VOCABULARY = Vocabulary((*SPECIAL, *"a dog runs on the grass in red".split()))
DESIGNS = [*((name, "grid") for name in DECODERS), ("merge", "pooled"), ("soft-attention", "pooled")]


def untrained(name: str, features: str) -> tuple[Recipe, CaptionModel]:
    changes = (*TINY, f"decoder.name={name}", f"encoder.features={features}", "embedding.tied=true")
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
    return recipe, build.caption_model(recipe, VOCABULARY).eval()


@pytest.mark.parametrize(("name", "features"), DESIGNS)
@torch.no_grad()
def test_a_decoder_step_of_many_captions_equals_that_of_each_image_alone(name: str, features: str) -> None:
    _, model = untrained(name, features)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    memory, state = model.decoder.begin(model.encoder(images))
    outputs = EncoderGraph(model)(images)
    for value, expected in zip(outputs, (*memory.values(), *state.values()), strict=True):
        torch.testing.assert_close(value, expected)
    step = DecoderStep(model, list(memory), list(state))
    tokens = torch.tensor([[3, 4, 5], [6, 7, 8]])
    memories, states = [*outputs[: len(memory)]], [s[:, None].repeat(1, 3, 1) for s in outputs[len(memory) :]]
    first = step(tokens, memories, states)
    log_probs, attention, *_ = step(tokens.flip(1), memories, [*first[2:]])
    assert log_probs.shape == (2, 3, len(VOCABULARY))
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(2, 3))
    for image in range(2):
        memory, state = model.decoder.begin(model.encoder(images[image : image + 1]))
        for caption in range(3):
            rows = state
            for token in (tokens[image, caption], tokens[image, 2 - caption]):
                embedded = model.decoder.embedding(token[None])
                output, rows, weights = model.decoder.step(embedded, memory, rows)
            expected = model.decoder.output_head(output).log_softmax(dim=-1)[0]
            torch.testing.assert_close(log_probs[image, caption], expected, atol=1e-4, rtol=0)
            torch.testing.assert_close(attention[image, caption], weights[0], atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features"), DESIGNS)
def test_exported_graphs_generate_the_same_captions(name: str, features: str, tmp_path: Path) -> None:
    recipe, model = untrained(name, features)
    spec = ModelSpec("x", "y", name, model.encoder.image, model.encoder.grid, recipe.decoding)
    onnx_graphs.write(model, spec.image.size, tmp_path)
    VOCABULARY.save(tmp_path / bundle.VOCABULARY)
    bundle.seal(tmp_path, spec)
    captioner = Captioner(Bundle.open(tmp_path))
    result = parity.compare(model, captioner, [Record(EXAMPLES / photo, (), "val") for photo in PHOTOS])
    assert (result.same, result.images) == (4, 4)
    assert result.first_step < 1e-4
    attention = captioner(EXAMPLES / "boats.jpg", attention=True).attention
    assert attention is not None
    assert attention.shape[1:] == model.encoder.grid
    np.testing.assert_allclose(attention.sum(axis=(1, 2)), 1, atol=1e-5)
