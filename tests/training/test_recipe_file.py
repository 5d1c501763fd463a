"""Who writes a recipe should learn of a slip at once, and from a run what made it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

from looksay import RecipeError
from looksay.training import recipe_file


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text("[training]\nepochs = 3\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda file: file.name)
def test_every_recipe_loads_and_begins_with_its_command(file: Path) -> None:
    assert all(recipe.model.name for recipe in recipe_file.phases(file))
    assert file.read_text(encoding="utf-8").startswith(f"# looksay train recipes/{file.name} ")


def test_changes_on_the_command_line_win(recipe: Path) -> None:
    changes = [
        "training.batch_size=8",
        "augmentation.flip=false",
        "data.folder=my data",
        "search.num_beams=5",
        "training.gradient_clip=2",
    ]
    loaded = recipe_file.load(recipe, changes)
    assert (loaded.training.epochs, loaded.training.batch_size, loaded.augmentation.flip) == (3, 8, False)
    assert (loaded.data.folder, loaded.decoding.num_beams, loaded.training.gradient_clip) == ("my data", 5, 2.0)


def test_a_recipe_survives_being_written_down(recipe: Path, tmp_path: Path) -> None:
    loaded = recipe_file.load(recipe, ['model.limits="it\'s \\"odd\\", né"', "training.learning_rate=1e-5"])
    (tmp_path / "again.toml").write_text(loaded.to_toml(), encoding="utf-8")
    assert recipe_file.load(tmp_path / "again.toml") == loaded


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("epochs=3", "written section.key=value"),
        ("training.epochs", "written section.key=value"),
        (
            "training.epoch=3",
            "no training.epoch; did you mean training.epochs\\? there are training.run, training.start",
        ),
        ("train.epochs=3", "no train; did you mean training\\? there are model, data"),
        ("training.epochs=many", "training.epochs is 'many'; it must be of type int"),
        ("augmentation.flip=1", "augmentation.flip is 1; it must be of type bool"),
        ("training.precision=16", "it must be one of auto, 32, bf16"),
        ("image.resize=stretch", "it must be one of squash, crop"),
        ("search.num_beams=0", "search: beam is 0"),
        ("training.batch_size=0", "training: batch is 0"),
        ("training.seed=-1", "training: seed is -1"),
        ("training.learning_rate=nan", "training: learning_rate is nan"),
        ("training.warmup=5", "training: warmup is 5.0"),
        ("decoder.heads=0", "decoder: heads is 0"),
        ("decoder.dropout=2", "decoder: dropout is 2.0"),
        ("image.size=-3", "image: size is -3"),
    ],
)
def test_slips_are_named_with_what_is_possible(recipe: Path, change: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        recipe_file.load(recipe, [change])


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe; the recipes that ship are adaptive, flagship, flickr8k"):
        recipe_file.load(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[training", encoding="utf-8")
    with pytest.raises(RecipeError, match="not a recipe in TOML"):
        recipe_file.load(tmp_path / "broken.toml")
    (tmp_path / "flat.toml").write_text("training = 3", encoding="utf-8")
    with pytest.raises(RecipeError, match="training is a section"):
        recipe_file.load(tmp_path / "flat.toml")


def test_a_recipe_that_ships_goes_by_its_name() -> None:
    assert recipe_file.load("show-and-tell") == recipe_file.load(ROOT / "recipes" / "show-and-tell.toml")


@pytest.mark.parametrize(("idle", "cure"), [
    (("encoder.stages=2",), "encoder.trainable=true"),
    (("encoder.trainable=true", "encoder.frozen_epochs=10"), "encoder.frozen_epochs=9"),
    (("encoder.frozen_epochs=2",), "encoder.trainable=true"),
    (("decoder.heads=4", "decoder.name=adaptive"), "decoder.name=top-down"),
    (("training.doubly_stochastic=1", "decoder.name=merge"), "decoder.name=adaptive"),
    (("augmentation.crop=0.5",), "augmentation.views=2"),
    (("augmentation.views=2",), "augmentation.color_jitter=0.2"),
    (("augmentation.views=2", "augmentation.crop=0.5", "encoder.trainable=true"), "encoder.frozen_epochs=1"),
])  # fmt: skip
def test_an_option_that_changes_nothing_is_told(idle: tuple[str, ...], cure: str) -> None:
    file = ROOT / "recipes" / "flickr8k.toml"
    assert recipe_file.load(file).idle() == []
    (told,) = recipe_file.load(file, idle).idle()
    assert idle[0].partition("=")[0].partition(".")[2] in told
    assert recipe_file.load(file, [*idle, cure]).idle() == []


PHASED = """
[training]
run = "runs/two"
epochs = 3
[encoder]
learning_rate = 1e-4
[[phases]]
name = "read"
[[phases]]
name = "draw"
training.start = "read"
training.learning_rate = 1e-5
distillation.teachers = ["read", "runs/other"]
encoder.trainable = true
self_critical.samples = 5
"""


def test_each_phase_is_a_recipe_and_may_build_on_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "phased.toml"
    file.write_text(PHASED, encoding="utf-8")
    read, draw = recipe_file.phases(file, ["training.epochs=1"])
    assert (read.training.run, read.training.start) == ("runs/two/read", ())
    assert (draw.training.run, draw.training.start) == ("runs/two/draw", ("runs/two/read",))
    assert draw.distillation.teachers == ("runs/two/read", "runs/other")
    assert (read.self_critical.samples, draw.self_critical.samples) == (0, 5)
    assert (read.training.epochs, draw.training.epochs) == (1, 1)  # the command line wins
    assert (draw.encoder.trainable, draw.encoder.learning_rate, draw.training.learning_rate) == (True, 1e-4, 1e-5)
    with pytest.raises(RecipeError, match="has 2 phases"):
        recipe_file.load(file)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('name = "draw"', ""), r"each phase is a table \[\[phases\]\] with a name"),
        (('name = "draw"', 'name = "read"'), "each phase has a name of its own"),
        (('name = "draw"', 'name = "../up"'), "each phase has a name of its own"),
        (("samples = 5", "samples = 1"), "phase draw, line 15: self_critical: samples is 1"),
        (("encoder.trainable", "coder.trainable"), "phase draw, line 1[0-9]: a recipe has no coder"),
        (("encoder.trainable = true", "encoder = 3"), "phase draw, line 14: encoder is a section"),
    ],
)
def test_a_slip_in_a_phase_names_it(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    (tmp_path / "phased.toml").write_text(PHASED.replace(*change), encoding="utf-8")
    with pytest.raises(RecipeError, match=problem):
        recipe_file.phases(tmp_path / "phased.toml")


def test_a_flat_section_before_the_phases_is_named(tmp_path: Path) -> None:
    (tmp_path / "phased.toml").write_text(f"data = 3\n{PHASED}", encoding="utf-8")
    with pytest.raises(RecipeError, match="phase read, line 1: data is a section"):
        recipe_file.phases(tmp_path / "phased.toml")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("# one\n[encoder]\nnmae = 'x'\n", "line 3: a recipe has no encoder.nmae; did you mean encoder.name?"),
        ("[training]\nseed = 1\nepochs = 'many'\n", "line 3: training.epochs is 'many'"),
        ("training.seed = 1\ntraining.batch = 0\n", "line 2: training: batch is 0"),
        ("[trainig]\n", "line 1: a recipe has no trainig; did you mean training?"),
        ("[training]\nbatch = 2\n[[phases]]\nname = 'a'\n[[phases]]\nname = 'b'\ntraining.batch = 0\n",
         "phase b, line 7: training: batch is 0"),
        ("[training]\nbatch = 0\n[[phases]]\nname = 'a'\n", "phase a, line 2: training: batch is 0"),
    ],
)  # fmt: skip
def test_a_slip_is_found_by_its_line(text: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=re.escape(f"{file}, {place}")):
        recipe_file.phases(file)


def test_a_slip_on_the_command_line_has_no_line(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"^training\.batch is 'x'"):
        recipe_file.load(recipe, ["training.batch_size=x"])
