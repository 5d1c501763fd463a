"""Recipes are read from TOML; mistakes are named with file, line, key, value and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

from looksay import RecipeError
from looksay.training import recipe_file
from looksay.training.recipe import Recipe
from looksay.training.sections import declared_keys


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text("[training]\nepochs = 3\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda file: file.name)
def test_every_recipe_loads_and_starts_with_its_command(file: Path) -> None:
    assert all(recipe.model.name for recipe in recipe_file.phases(file))
    assert file.read_text(encoding="utf-8").startswith(f"# looksay train recipes/{file.name} ")


def test_changes_on_the_command_line_win(recipe: Path) -> None:
    changes = [
        "training.batch_size=8",
        "augmentation.flip=false",
        "data.folder=my data",
        "decoding.num_beams=5",
        "training.gradient_clip=2",
    ]
    loaded = recipe_file.load(recipe, changes)
    assert (loaded.training.epochs, loaded.training.batch_size, loaded.augmentation.flip) == (3, 8, False)
    assert (loaded.data.folder, loaded.decoding.num_beams, loaded.training.gradient_clip) == ("my data", 5, 2.0)


def test_a_name_like_a_number_stays_a_name(recipe: Path) -> None:
    changes = ["data.folder=2024_05", "training.run=1e3", "training.start=1.10", "distillation.teachers=['a', '1']"]
    loaded = recipe_file.load(recipe, [*changes, "training.batch_size=1_0", "training.precision=32"])
    assert (loaded.data.folder, loaded.training.run, loaded.training.start) == ("2024_05", "1e3", ("1.10",))
    assert (loaded.distillation.teachers, loaded.training.batch_size) == (("a", "1"), 10)
    assert loaded.training.precision == "32"


def test_a_recipe_survives_being_written_down(recipe: Path, tmp_path: Path) -> None:
    loaded = recipe_file.load(recipe, ['model.limits="it\'s \\"odd\\", né"', "training.learning_rate=1e-5"])
    (tmp_path / "again.toml").write_text(loaded.to_toml(), encoding="utf-8")
    assert recipe_file.load(tmp_path / "again.toml") == loaded


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("epochs=3", "is not an override: write section.key=value"),
        ("training.epochs", "is not an override: write section.key=value"),
        (
            "training.epoch=3",
            "training.epoch is unknown: did you mean training.epochs\\? use one of training.run, training.start",
        ),
        ("train.epochs=3", "train is unknown: did you mean training\\? use one of model, data"),
        ("training.epochs=many", "training.epochs 'many' is not a whole number: write it as in epochs = 10"),
        ("training.epochs='3'", "training.epochs '3' is not a whole number"),
        ("training.epochs=true", "training.epochs True is not a whole number"),
        ("training.epochs=3.0", "training.epochs 3.0 is not a whole number"),
        ("training.warmup=true", "training.warmup True is not a number"),
        ("training.epochs=0", "training.epochs 0 is out of range: use 1 or more, or set training.start"),
        ("training.compile=yes", "training.compile 'yes' is not true or false"),
        ("training.num_workers=-1", "training.num_workers -1 is out of range: use a value at least 0"),
        ("training.length_buckets=-1", "training.length_buckets -1 is out of range"),
        ("training.start=[1]", "training.start .* is not a list of texts"),
        ("augmentation.swapped=left", "augmentation.swapped 'left' is not a pair"),
        ("self_critical.samples=1", "self_critical.samples 1 is out of range: use 2 or more, or 0"),
        ("augmentation.flip=1", "augmentation.flip 1 is not true or false"),
        ("training.precision=16", "training.precision '16' is unknown: use one of auto, 32, bf16"),
        ("image.resize=stretch", "use one of squash, crop"),
        ("decoding.num_beams=0", "decoding.num_beams 0 is out of range: use 1 to 100"),
        ("decoding.num_beems=2", "decoding.num_beems is unknown: did you mean decoding.num_beams"),
        ("decoding.num_beams=x", "decoding.num_beams 'x' is not a whole number"),
        ("training.batch_size=0", "training.batch_size 0 is out of range: use a value at least 1"),
        ("training.seed=-1", "training.seed -1 is out of range"),
        (f"training.seed={2**64}", "training.seed 18446744073709551616 is out of range"),
        ("data.folder=caf\udce9", "is not UTF-8, as a recipe is"),
        ("training.learning_rate=nan", "training.learning_rate nan is out of range"),
        ("training.warmup=5", "training.warmup 5 is out of range: use a value at least 0 and below 1"),
        ("decoder.heads=0", "decoder.heads 0 is out of range"),
        ("decoder.dropout=2", "decoder.dropout 2 is out of range"),
        ("image.size=-3", "image.size -3 is out of range: use 0 to 2048"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(recipe: Path, change: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        recipe_file.load(recipe, [change])


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match="does not exist: name a TOML file or one of adaptive, everyday-short, everyday, flagship"
    ):
        recipe_file.load(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("[training", encoding="utf-8")
    with pytest.raises(RecipeError, match="is not valid TOML"):
        recipe_file.load(tmp_path / "broken.toml")
    (tmp_path / "flat.toml").write_text("training = 3", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"flat.toml, line 1: training 3 is not a section: write \[training\]"):
        recipe_file.load(tmp_path / "flat.toml")


def test_a_shipped_recipe_is_found_by_its_name() -> None:
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
def test_an_option_without_effect_is_reported(idle: tuple[str, ...], cure: str) -> None:
    file = ROOT / "recipes" / "flickr8k.toml"
    assert recipe_file.load(file).idle() == []
    (warning,) = recipe_file.load(file, idle).idle()
    assert idle[0].partition("=")[0].partition(".")[2] in warning
    assert recipe_file.load(file, [*idle, cure]).idle() == []


PHASED = """
[training]
run = "runs/two"
epochs = 3
[encoder]
learning_rate = 1e-4
[[phases]]
name = "xe"
[[phases]]
name = "scst"
training.start = "xe"
training.learning_rate = 1e-5
distillation.teachers = ["xe", "runs/other"]
encoder.trainable = true
self_critical.samples = 5
"""


def test_each_phase_is_a_recipe_and_may_build_on_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "phased.toml"
    file.write_text(PHASED, encoding="utf-8")
    xe, scst = recipe_file.phases(file, ["training.epochs=1"])
    assert (xe.training.run, xe.training.start) == ("runs/two/xe", ())
    assert (scst.training.run, scst.training.start) == ("runs/two/scst", ("runs/two/xe",))
    assert scst.distillation.teachers == ("runs/two/xe", "runs/other")
    assert (xe.self_critical.samples, scst.self_critical.samples) == (0, 5)
    assert (xe.training.epochs, scst.training.epochs) == (1, 1)  # the command line wins
    assert (scst.encoder.trainable, scst.encoder.learning_rate, scst.training.learning_rate) == (True, 1e-4, 1e-5)
    with pytest.raises(RecipeError, match="has 2 phases"):
        recipe_file.load(file)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('name = "scst"', ""), r"a phase has no name: write each as \[\[phases\]\]"),
        (('name = "scst"', 'name = "xe"'), "phase name 'xe' is used twice"),
        (('name = "scst"', 'name = "../up"'), "phase name '../up' is used twice or is not a folder name"),
        (("samples = 5", "samples = 1"), "phase scst, line 15: self_critical.samples 1 is out of range"),
        (("encoder.trainable", "coder.trainable"), "phase scst, line 14: coder is unknown"),
        (("encoder.trainable = true", "encoder = 3"), "phase scst, line 14: encoder 3 is not a section"),
    ],
)
def test_a_mistake_in_a_phase_names_it(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    (tmp_path / "phased.toml").write_text(PHASED.replace(*change), encoding="utf-8")
    with pytest.raises(RecipeError, match=problem):
        recipe_file.phases(tmp_path / "phased.toml")


def test_a_flat_section_before_the_phases_is_named(tmp_path: Path) -> None:
    (tmp_path / "phased.toml").write_text(f"data = 3\n{PHASED}", encoding="utf-8")
    with pytest.raises(RecipeError, match="phase xe, line 1: data 3 is not a section"):
        recipe_file.phases(tmp_path / "phased.toml")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("# one\n[encoder]\nnmae = 'x'\n", "line 3: encoder.nmae is unknown: did you mean encoder.name?"),
        ("[training]\nseed = 1\nepochs = 'many'\n", "line 3: training.epochs 'many' is not a whole number"),
        ("training.seed = 1\ntraining.batch_size = 0\n", "line 2: training.batch_size 0 is out of range"),
        ("[trainig]\n", "line 1: trainig is unknown: did you mean training?"),
        ("[training]\nbatch_size = 2\n[[phases]]\nname = 'a'\n[[phases]]\nname = 'b'\ntraining.batch_size = 0\n",
         "phase b, line 7: training.batch_size 0 is out of range"),
        ("[training]\nbatch_size = 0\n[[phases]]\nname = 'a'\n", "phase a, line 2: training.batch_size 0 is out"),
        ("# one\n[training]\n\nstart = [\n  1,\n]\nseed = 1\n", "line 4: training.start"),
        ("[model]\nlimits = \"\"\"\nseed = -1\n\"\"\"\n[training]\n'seed' = -1\n", "line 6: training.seed -1"),
        ("training = { seed = -1 }\n", "line 1: training.seed -1"),
        ("[decoding]\nnum_beams = 3\nnum_beam_groups = 2\n", "line 3: decoding.num_beam_groups 2 does not divide"),
    ],
)  # fmt: skip
def test_a_mistake_is_located_by_its_line(text: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=re.escape(f"{file}, {place}")):
        recipe_file.phases(file)


def test_a_mistake_on_the_command_line_has_no_line(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"^training\.batch_size 'x' is not"):
        recipe_file.load(recipe, ["training.batch_size=x"])


def test_a_changed_copy_is_checked_like_the_recipe(recipe: Path) -> None:
    loaded = recipe_file.load(recipe)
    copy = loaded.replace(training={"batch_size": 4, "start": ("runs/a",)}, decoding={"num_beams": 2})
    assert (copy.training.epochs, copy.training.batch_size, copy.decoding.num_beams) == (3, 4, 2)
    assert loaded.training.batch_size == 32
    for change in ({"epochs": -1}, {"epochs": "3"}, {"epochs": True}, {"epoch": 3}):
        with pytest.raises(ValueError, match="epoch"):
            loaded.replace(training=change)


def test_every_key_has_a_help_sentence() -> None:
    for section in recipe_file.SECTIONS.values():
        for key in declared_keys(section).values():
            assert key.help.endswith("."), key.name
    assert recipe_file.SECTIONS.keys() == Recipe.__dataclass_fields__.keys()
