"""Who exports any design, on a grid or on one vector, gets a model that says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, PHOTOS, ROOT, TINY

from looksay.captioner import Captioner
from looksay.export import onnx_graphs, parity
from looksay.models.registry import DECODERS
from looksay.runtime import bundle
from looksay.runtime.bundle import Bundle
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build, recipe_file
from looksay.types import ModelSpec

WORDS = Vocabulary((*SPECIAL, *"a dog runs on the grass in red".split()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "features"), [*((name, "grid") for name in DECODERS), ("merge", "pooled"), ("soft-attention", "pooled")]
)
def test_every_design_says_the_same_when_exported(name: str, features: str, tmp_path: Path) -> None:
    changes = (*TINY, f"decoder.name={name}", f"encoder.features={features}", "embedding.tied=true")
    recipe = recipe_file.load(ROOT / "recipes" / "flickr8k.toml", changes)
    model = build.caption_model(recipe, WORDS).eval()
    spec = ModelSpec("x", "y", name, build.model_image_spec(recipe), model.encoder.grid, recipe.decoding)
    onnx_graphs.write(model, spec.image.size, tmp_path)
    WORDS.save(tmp_path / bundle.VOCABULARY)
    bundle.seal(tmp_path, spec)
    captioner = Captioner(Bundle.open(tmp_path))
    found = parity.compare(model, captioner, [EXAMPLES / photo for photo in PHOTOS])
    assert (found.same, found.images) == (4, 4)
    assert found.first_word < 1e-4
    attention = captioner(EXAMPLES / "boats.jpg", attention=True).attention
    assert attention is not None
    assert attention.shape[1:] == model.encoder.grid
    np.testing.assert_allclose(attention.sum(axis=(1, 2)), 1, atol=1e-5)
