"""Every shipped recipe starts with its command, and its model can be built and decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import ROOT

from looksay.models.caption_model import DECODERS
from looksay.text.vocabulary import SPECIAL, Vocabulary
from looksay.training import build, recipe_file

RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
WORDS = Vocabulary((*SPECIAL, "a", "dog", "runs"))


@pytest.mark.parametrize("file", RECIPES, ids=[file.stem for file in RECIPES])
def test_every_recipe_starts_with_its_command_and_has_its_own_run(file: Path) -> None:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# looksay train recipes/{file.name} data.folder=PATH/TO/")
    for recipe in recipe_file.phases(file, first.split()[4:]):
        assert Path(recipe.training.run).parts[:2] == ("runs", file.stem)
        assert recipe.encoder.weights == "hub"


@pytest.mark.slow
@pytest.mark.parametrize("file", RECIPES, ids=[file.stem for file in RECIPES])
def test_the_model_of_every_recipe_is_built_and_decodes(file: Path) -> None:
    recipe = recipe_file.phases(file)[-1]
    model = build.caption_model(recipe, WORDS, pretrained=False).eval()
    size = model.encoder.image.size
    with torch.no_grad():
        grid = model.encoder(torch.randn(1, 3, size, size))
    assert grid.shape == (1, model.encoder.grid[0] * model.encoder.grid[1], model.encoder.channels)
    ((caption,),) = model.captions(grid, WORDS, recipe.decoding)
    assert caption.log_prob < 0


def test_every_design_has_a_recipe() -> None:
    assert {recipe_file.phases(file)[-1].decoder.name for file in RECIPES} == set(DECODERS)


def test_embeddings_are_initialised_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("dog 1 2 3 4\n", encoding="utf-8")
    changes = ("encoder.name=test_resnet", "encoder.weights=random", "image.size=64", "embedding.size=4",
               f"embedding.vectors={tmp_path / 'glove.txt'}")  # fmt: skip
    recipe = recipe_file.load(ROOT / "recipes" / "inceptionv3-glove.toml", changes)
    model = build.caption_model(recipe, WORDS)
    table = model.decoder.embedding.get_parameter("table.weight")
    assert table[WORDS.tokens.index("dog")].tolist() == [1, 2, 3, 4]
    assert not table.requires_grad
