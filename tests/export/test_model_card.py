"""Who meets a model without its makers must learn from its card how it came to be."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from looksay.data import Record
from looksay.evaluation.scoring import score_captions
from looksay.export import model_card
from looksay.tagging.concepts import Concept, ConceptTable
from looksay.training import run_loader
from looksay.training.recipe import Recipe
from looksay.training.sections import DistillationOptions, EncoderOptions, ModelOptions, TrainingOptions
from looksay.types import ImageSpec, ModelSpec

SCORES = dict.fromkeys(("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"), 0.5) | {
    "images": 4, "split": "val", "references": 5,
}  # fmt: skip
PEOPLE = ("a man rides a red horse", "three boats on water", "some food")
SPEC = ModelSpec("mine", "resnet50", "top-down", ImageSpec(size=64), (2, 2), scores=SCORES)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs: the last starts from one that fine-tuned the encoder, which a third taught."""

    def run(name: str, recipe: Recipe, **training: tuple[str, ...]) -> None:
        (tmp_path / name).mkdir()
        at = replace(recipe.training, run=str(tmp_path / name), **training)  # type: ignore[arg-type]
        run_loader.write_recipe(replace(recipe, training=at), tmp_path / name / run_loader.RECIPE)

    run("teacher", Recipe(training=TrainingOptions(seed=7)))
    taught = DistillationOptions(teachers=(str(tmp_path / "teacher"),))
    run("tuned", Recipe(encoder=EncoderOptions(trainable=True), distillation=taught))
    run("last", Recipe(training=TrainingOptions(epochs=3)), start=(f"{tmp_path}/tuned/",))
    return tmp_path


def test_it_tells_of_every_run_on_the_way_what_was_not_as_by_default(runs: Path) -> None:
    phases = run_loader.history(runs / "last")
    assert [phase.folder.name for phase in phases] == ["teacher", "tuned", "last"]
    assert all(phase.made_with.startswith("looksay 0.") for phase in phases)
    text = model_card.write(SPEC, phases, "all the same")
    assert "3 runs, one after another" in text
    assert text.index("seed = 7") < text.index('teachers = ["teacher"]') < text.index('start = ["tuned"]')
    assert "(fine-tuned)" in text
    assert "batch =" not in text
    assert str(runs) not in text


def test_it_shows_good_and_bad_captions_if_that_was_asked_for(runs: Path) -> None:
    records = [Record(Path(f"{name}.jpg"), (said, "two dogs"), "val") for name, said in zip("abc", PEOPLE, strict=True)]
    found = {"": score_captions(records, ["a man rides a red horse", "a cat", "a bus"], {"split": "val"})}
    phases = run_loader.history(runs / "last")
    assert "Examples" not in model_card.write(SPEC, phases, "all the same", found)
    asked = replace(phases[-1], recipe=replace(phases[-1].recipe, model=ModelOptions(examples=2)))
    text = model_card.write(
        SPEC, [asked], "all the same", found, ConceptTable((Concept(("cat",), ("cat",), "", (1,)),), rare_words=("x",))
    )
    (best, worst) = re.findall(r"^\| (\d+) \|(.*)\|$", text, re.MULTILINE)
    assert int(best[0]) > 100 > int(worst[0]) == 0
    assert best[1] == " a man rides a red horse | a man rides a red horse | `a.jpg` "
    assert "with a probability of 0.5 or more: cat." in text


def test_a_run_whose_beginnings_are_gone_tells_of_itself(runs: Path) -> None:
    (runs / "tuned" / run_loader.RECIPE).unlink()
    text = model_card.write(SPEC, run_loader.history(runs / "last"), "all the same")
    assert 'start = ["tuned"]' in text
    assert "(frozen since tuned)" in text


def test_a_run_that_was_put_in_the_place_of_its_start_still_has_a_card(runs: Path) -> None:
    (runs / "tuned" / run_loader.RECIPE).write_text((runs / "last" / run_loader.RECIPE).read_text(encoding="utf-8"))
    text = model_card.write(SPEC, run_loader.history(runs / "tuned"), "all the same")
    assert "(frozen since tuned)" in text
