"""Who evaluates a model gets the scores of what its users would read, and of the model behind it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import EXAMPLES, PHOTOS, SAID

import looksay
from looksay import DataError, data, evaluation
from looksay.metrics import score
from looksay.training import checkpoint


def test_the_captions_scored_are_those_that_users_get(small_bundle: Path, small_data: Path) -> None:
    captioner, dataset = looksay.load(small_bundle), data.read(small_data)
    found = evaluation.evaluate(captioner, dataset, "val", batch=3, num_beams=2)
    assert found.said == [captioner(record.image, num_beams=2).text for record in dataset.split("val")]
    assert found.scores == pytest.approx(score(found.said, [record.references for record in found.records]))
    assert found.facts["search"] == {"num_beams": 2, "max_length": 20, "length_penalty": 0.7}
    assert found.references == (2, 2)
    assert found.people[1:] == (1, 4)
    assert found.health["novel captions %"] == 0


def test_teacher_forced_figures_are_those_of_training(small_bundle: Path, small_data: Path, small_run: Path) -> None:
    found = evaluation.evaluate(looksay.load(small_bundle), data.read(small_data), "val")
    best = max(checkpoint.read(small_run), key=lambda row: (row["val_CIDEr-D"], row["epoch"]))
    assert found.health["word accuracy %"] == pytest.approx(100 * best["val_word_accuracy"], abs=0.5)
    assert found.health["perplexity"] == pytest.approx(2.718281828 ** best["val_loss"], rel=0.02)


def test_unreadable_images_are_named_and_not_scored(small_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    rows = [
        {"image": name, "captions": [SAID.get(name, "x"), "a photo"], "split": "val"}
        for name in (*PHOTOS, "broken.jpg")
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = evaluation.evaluate(looksay.load(small_bundle), data.read(tmp_path), "val")
    assert len(found.said) == len(PHOTOS)
    assert found.problems[-1].startswith(f"not scored: {tmp_path / 'broken.jpg'}: this is not an image")


def test_what_is_undefined_is_null_in_json_and_not_a_number(small_bundle: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "boats.jpg", tmp_path)
    (tmp_path / "d.csv").write_text("image,caption,split\nboats.jpg,two boats,val\n", encoding="utf-8")
    found = evaluation.evaluate(looksay.load(small_bundle), data.read(tmp_path), "val")
    assert found.to_json()["scores"]["CIDEr-D"] is None
    assert found.people == ({}, 0, 0)
    json.dumps(found.to_json(), allow_nan=False)
    with pytest.raises(DataError, match="has no test split"):
        evaluation.evaluate(looksay.load(small_bundle), data.read(tmp_path), "test")
