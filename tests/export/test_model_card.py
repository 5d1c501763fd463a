"""The model card states how a model was trained, with its scores and examples of its captions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from looksay.data import Record
from looksay.evaluation.scoring import score_captions
from looksay.export import model_card
from looksay.tagging.concepts import Concept, ConceptTable
from looksay.training import checkpoint, run_loader
from looksay.training.recipe import Recipe
from looksay.training.sections import DistillationOptions, EncoderOptions, ModelOptions, TrainingOptions
from looksay.types import ImageSpec, ModelSpec

SCORES = dict.fromkeys(("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"), 0.5) | {
    "images": 4, "split": "val", "references": 5,
}  # fmt: skip
REFERENCES = ("a man rides a red horse", "three boats on water", "some food")
SPEC = ModelSpec("mine", "resnet50", "top-down", ImageSpec(size=64), (2, 2), scores=SCORES)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs: a teacher, its student with a fine-tuned encoder, and a run that starts from the student."""

    def run(name: str, recipe: Recipe, **training: tuple[str, ...]) -> None:
        (tmp_path / name).mkdir()
        options = replace(recipe.training, run=str(tmp_path / name), **training)  # type: ignore[arg-type]
        run_loader.write_recipe(replace(recipe, training=options), tmp_path / name / checkpoint.RECIPE)

    run("teacher", Recipe(training=TrainingOptions(seed=7)))
    distillation = DistillationOptions(teachers=(str(tmp_path / "teacher"),))
    run("tuned", Recipe(encoder=EncoderOptions(trainable=True), distillation=distillation))
    run("last", Recipe(training=TrainingOptions(epochs=3)), start=(f"{tmp_path}/tuned/",))
    return tmp_path


def test_it_lists_the_keys_of_every_run_that_differ_from_their_defaults(runs: Path) -> None:
    phases = run_loader.history(runs / "last")
    assert [phase.folder.name for phase in phases] == ["teacher", "tuned", "last"]
    assert all(phase.made_with.startswith("looksay 0.") for phase in phases)
    text = model_card.render(SPEC, phases, "all the same", {})
    assert "3 runs, in order" in text
    assert text.index("seed = 7") < text.index('teachers = ["teacher"]') < text.index('start = ["tuned"]')
    assert "(fine-tuned)" in text
    assert "batch_size =" not in text
    assert str(runs) not in text


def test_it_shows_good_and_bad_captions_if_the_recipe_asks_for_examples(runs: Path) -> None:
    pairs = zip("abc", REFERENCES, strict=True)
    records = [Record(Path(f"{name}.jpg"), (reference, "two dogs"), "val") for name, reference in pairs]
    evaluations = {"": score_captions(records, ["a man rides a red horse", "a cat", "a bus"], {"split": "val"})}
    phases = run_loader.history(runs / "last")
    assert "Examples" not in model_card.render(SPEC, phases, "all the same", evaluations)
    phase = replace(phases[-1], recipe=replace(phases[-1].recipe, model=ModelOptions(examples=2)))
    table = ConceptTable((Concept(("cat",), ("cat",), "", (1,)),), rare_words=("x",))
    text = model_card.render(SPEC, [phase], "all the same", evaluations, table)
    (best, worst) = re.findall(r"^\| (\d+) \|(.*)\|$", text.partition("## Examples")[2], re.MULTILINE)
    assert int(best[0]) > 100 > int(worst[0]) == 0
    assert best[1] == " a man rides a red horse | a man rides a red horse | `a.jpg` "
    assert re.search(r"with a probability of 0\.5 or more .*: cat\.", text)


def test_a_run_whose_start_was_removed_has_a_card(runs: Path) -> None:
    (runs / "tuned" / checkpoint.RECIPE).unlink()
    text = model_card.render(SPEC, run_loader.history(runs / "last"), "all the same", {})
    assert 'start = ["tuned"]' in text
    assert "(frozen since tuned)" in text


def test_a_run_that_replaced_its_own_start_has_a_card(runs: Path) -> None:
    (runs / "tuned" / checkpoint.RECIPE).write_text((runs / "last" / checkpoint.RECIPE).read_text(encoding="utf-8"))
    text = model_card.render(SPEC, run_loader.history(runs / "tuned"), "all the same", {})
    assert "(frozen since tuned)" in text
