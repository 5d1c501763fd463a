"""Scores of captions, equal to coco-caption's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from looksay import DataError, data
from looksay.metrics import Scorer, score

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
PREDICTIONS = [image["prediction"] for image in GOLDEN["images"]]
REFERENCES = [image["references"] for image in GOLDEN["images"]]
WITHOUT_JAVA = {name: value for name, value in GOLDEN["scores"].items() if name != "METEOR"}


def test_scores_equal_those_of_pycocoevalcap() -> None:
    assert score(PREDICTIONS, REFERENCES) == pytest.approx(WITHOUT_JAVA, abs=1e-9)


def test_scores_of_each_image_equal_those_of_pycocoevalcap() -> None:
    scores = Scorer(REFERENCES).image_scores(PREDICTIONS)
    assert scores["ROUGE-L"] == pytest.approx(GOLDEN["by_image"]["ROUGE-L"], abs=1e-9)
    assert scores["CIDEr-D"] == pytest.approx(GOLDEN["by_image"]["CIDEr-D"], abs=1e-9)


def test_human_captions_of_flickr8k_score_as_coco_caption_says(flickr8k: Path) -> None:
    """Caption #0 against #1 to #4 of the val split; the figures are pycocoevalcap's, with the Java tokeniser."""
    val = data.read(flickr8k).split("val")
    scores = score([record.references[0] for record in val], [record.references[1:] for record in val])
    expected = {
        "BLEU-1": 0.6275129488191882,
        "BLEU-2": 0.44342979576264063,
        "BLEU-3": 0.30708129327795985,
        "BLEU-4": 0.21160098501492874,
        "ROUGE-L": 0.4917340865253703,
        "CIDEr-D": 0.8036617887303764,
    }
    assert scores == pytest.approx(expected, abs=1e-9)


def test_dicts_by_image_are_scored_in_any_order() -> None:
    predictions = {f"{number}.jpg": caption for number, caption in enumerate(PREDICTIONS)}
    references = {f"{number}.jpg": captions for number, captions in enumerate(REFERENCES)}
    assert score(dict(reversed(predictions.items())), references) == pytest.approx(WITHOUT_JAVA, abs=1e-9)
    with pytest.raises(DataError, match=r"1 images have a caption or references but not both, such as 'new\.jpg'"):
        score({**predictions, "new.jpg": "a dog"}, references)
    with pytest.raises(DataError, match="both lists, or both dicts"):
        score(predictions, REFERENCES)


def test_ids_may_be_numbers_on_one_side_and_texts_on_the_other() -> None:
    """COCO's annotations have numbers, and the keys of a JSON object are always texts."""
    predictions = {str(number): caption for number, caption in enumerate(PREDICTIONS)}
    assert score(predictions, dict(enumerate(REFERENCES))) == pytest.approx(WITHOUT_JAVA, abs=1e-9)


def test_cider_d_of_one_image_is_undefined() -> None:
    scores = score(["a dog runs"], [["a dog runs", "a dog"]])
    assert math.isnan(scores["CIDEr-D"])
    assert scores["ROUGE-L"] == 1


@pytest.mark.parametrize(
    ("predictions", "references"),
    [
        (["a"], []),
        ([], []),
        (["a"], [[]]),
        (["a dog"], ["a dog"]),
        ("a", [["b"]]),
        ([["a dog"]], [["a dog"]]),
        ([None], [["a dog"]]),
        ([[]], [["a dog"]]),
        (["a dog"], [[None]]),
        (["a dog"], [None]),
        (["a dog"], None),
        (None, [["a dog"]]),
        (["a"], {"x": ["a"]}),
        ({"x": ["a dog"]}, {"x": ["a dog"]}),
    ],
)
def test_invalid_captions_and_references_are_refused(predictions: Any, references: Any) -> None:
    with pytest.raises(DataError):
        score(predictions, references)


def test_captions_may_come_from_arrays_and_generators() -> None:
    predictions, references = ["a dog runs", "a cat"], [["a dog", "the dog runs"], ["the cat", "a black cat"]]
    expected = score(predictions, references)
    assert score(np.array(predictions), np.array(references)) == expected
    assert score(iter(predictions), (iter(captions) for captions in references)) == expected


def test_empty_captions_score_nothing_and_do_not_crash() -> None:
    scores = score(["", "a dog"], [["a cat"], ["a dog runs"]])
    assert 0 < scores["BLEU-1"] < 1
    assert set(score(["", ""], [["."], [","]]).values()) <= {0.0, 1.0}
    assert score(["", ""], [["a"], ["b"]])["CIDEr-D"] == 0


def test_human_agreement_is_the_mean_over_references() -> None:
    references = [["a b c d", "a b c d", "x"], ["e f g h", "e f g h", "y z"], ["alone"]]
    human, others, images = Scorer(references).human_agreement
    assert (others, images) == (2, 2)
    rounds = [
        score([image[k] for image in references[:2]], [image[:k] + image[k + 1 :] for image in references[:2]])
        for k in range(3)
    ]
    assert human == pytest.approx({name: sum(r[name] for r in rounds) / 3 for name in human})
    assert Scorer([["one"], ["two"]]).human_agreement == ({}, 0, 0)


def test_references_without_any_word_score_nothing_and_do_not_crash() -> None:
    scores = score(["a dog", "a cat"], [["..."], ["!"]])
    assert scores["CIDEr-D"] == 0
    assert scores["ROUGE-L"] == 0
