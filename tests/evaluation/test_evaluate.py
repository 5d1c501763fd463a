"""Evaluation of a model: scores of the captions that users get, and teacher-forced measures."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import EXAMPLES, PHOTOS, REFERENCES

import looksay
from looksay import DataError, OptionError, data, evaluation
from looksay.captioner import Captioner
from looksay.evaluation import report
from looksay.evaluation.scoring import score_captions
from looksay.metrics import score
from looksay.training import checkpoint


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return looksay.load()


def test_the_captions_scored_are_those_that_users_get(captioner: Captioner, small_data: Path) -> None:
    dataset = data.read(small_data)
    result = evaluation.evaluate(captioner, dataset, "val", batch=3, num_beams=2)
    assert result.captions == [captioner(record.image, num_beams=2).text for record in dataset.split("val")]
    assert result.scores == pytest.approx(score(result.captions, [record.references for record in result.records]))
    assert result.decoding == captioner.options({"num_beams": 2})
    assert result.references == (2, 2)
    assert result.human_agreement[1:] == (1, 4)
    assert result.diversity["novel captions %"] == 100


def test_human_word_precision_is_that_of_a_reference_against_the_others() -> None:
    images = {"a.jpg": ("a dog", "a cat"), "b.jpg": ("a red boat", "a boat"), "c.jpg": ("two men",)}
    records = [data.Record(Path(name), references, "val") for name, references in images.items()]
    result = score_captions(records, ["a dog", "a red boat", "two men"], {"split": "val"})
    assert result.diversity["word precision %"] == pytest.approx(100)
    # "dog" is not in "a cat"; of "a red boat" only "boat" is in "a boat", and "a" is in all images.
    assert result.human_diversity["word precision %"] == pytest.approx(25)


@pytest.mark.slow
def test_teacher_forced_measures_equal_those_of_training(small_bundle: Path, small_data: Path, small_run: Path) -> None:
    result = evaluation.evaluate(looksay.load(small_bundle), data.read(small_data), "val")
    best = max(checkpoint.read(small_run), key=lambda row: (row["val_CIDEr-D"], row["epoch"]))
    assert result.diversity["word accuracy %"] == pytest.approx(100 * best["val_word_accuracy"], abs=0.5)
    assert result.diversity["perplexity"] == pytest.approx(2.718281828 ** best["val_loss"], rel=0.02)


def test_unreadable_images_are_named_and_not_scored(captioner: Captioner, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    rows = [
        {"image": name, "captions": [REFERENCES.get(name, "x"), "a photo"], "split": "val"}
        for name in (*PHOTOS, "broken.jpg")
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = evaluation.evaluate(captioner, data.read(tmp_path), "val")
    assert len(result.captions) == len(PHOTOS)
    assert result.problems[-1].startswith(f"not scored: {tmp_path / 'broken.jpg'}: this is not an image")


def test_captions_of_low_confidence_are_scored_too(captioner: Captioner, small_data: Path) -> None:
    with pytest.raises(OptionError, match="min_confidence cannot be used: all captions are scored"):
        evaluation.evaluate(captioner, data.read(small_data), "val", min_confidence=0.5)


def test_undefined_scores_are_null_in_json(captioner: Captioner, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "boats.jpg", tmp_path)
    (tmp_path / "d.csv").write_text("image,caption,split\nboats.jpg,two boats,val\n", encoding="utf-8")
    result = evaluation.evaluate(captioner, data.read(tmp_path), "val")
    assert result.to_json()["scores"]["CIDEr-D"] is None
    assert result.human_agreement == ({}, 0, 0)
    json.dumps(result.to_json(), allow_nan=False)
    with pytest.raises(DataError, match="has no test split"):
        evaluation.evaluate(captioner, data.read(tmp_path), "test")


def test_several_captions_per_image_are_accepted_and_unknown_options_are_refused(
    captioner: Captioner, small_data: Path
) -> None:
    dataset = data.read(small_data)
    result = evaluation.evaluate(captioner, dataset, "val", num_captions=5)
    assert result.decoding == captioner.options({"num_captions": 5})
    assert result.captions == evaluation.evaluate(captioner, dataset, "val").captions
    for options in ({"beams": 5}, {"num_beams": "5"}, {"batch": "8"}, {"batch": 0}):
        with pytest.raises(OptionError, match=next(iter(options))):
            evaluation.evaluate(captioner, dataset, "val", **options)


def test_all_effective_decoding_options_are_recorded_and_used_in_the_report(
    captioner: Captioner, small_data: Path
) -> None:
    """An option that is switched off must not fall back to the model's own value in the report."""
    bundle = captioner.bundle
    own = replace(bundle.spec.decoding, no_repeat_words=True, bad_words=("a",))
    strict = Captioner(replace(bundle, spec=replace(bundle.spec, decoding=own)))
    result = evaluation.evaluate(strict, data.read(small_data), "val", no_repeat_words=False, bad_words=())
    decoding = result.to_json()["decoding"]
    assert decoding == asdict(own) | {"no_repeat_words": False, "bad_words": ()}
    assert any("a" in caption.split() for caption in result.captions)
    page = report.page(result, strict)
    section = page.partition("<h2>Attention</h2>")[2].partition("<h2>")[0]
    shown = re.findall(r'<b dir="auto">(.*?)</b>', section)
    assert shown
    assert {html.unescape(caption) for caption in shown} <= set(result.captions)
