"""Who puts a number beside a paper's needs the paper's number."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

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
    found = Scorer(REFERENCES).image_scores(PREDICTIONS)
    assert found["ROUGE-L"] == pytest.approx(GOLDEN["by_image"]["ROUGE-L"], abs=1e-9)
    assert found["CIDEr-D"] == pytest.approx(GOLDEN["by_image"]["CIDEr-D"], abs=1e-9)


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


def test_dicts_by_image_are_scored_whatever_their_order() -> None:
    said = {f"{number}.jpg": caption for number, caption in enumerate(PREDICTIONS)}
    wanted = {f"{number}.jpg": captions for number, captions in enumerate(REFERENCES)}
    assert score(dict(reversed(said.items())), wanted) == pytest.approx(WITHOUT_JAVA, abs=1e-9)
    with pytest.raises(DataError, match=r"not both: 1, 'new\.jpg' for one"):
        score({**said, "new.jpg": "a dog"}, wanted)
    with pytest.raises(DataError, match="both lists, or both dicts"):
        score(said, REFERENCES)


def test_cider_d_of_one_image_is_undefined_and_not_a_number_to_believe() -> None:
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
        (["a"], {"x": ["a"]}),
        ({"x": ["a dog"]}, {"x": ["a dog"]}),
    ],
)
def test_what_cannot_be_scored_is_refused(predictions: Any, references: Any) -> None:
    with pytest.raises(DataError):
        score(predictions, references)


def test_empty_captions_score_nothing_and_do_not_crash() -> None:
    scores = score(["", "a dog"], [["a cat"], ["a dog runs"]])
    assert 0 < scores["BLEU-1"] < 1
    assert set(score(["", ""], [["."], [","]]).values()) <= {0.0, 1.0}
    assert score(["", ""], [["a"], ["b"]])["CIDEr-D"] == 0


def test_peoples_captions_are_scored_against_the_others() -> None:
    references = [["a b c d", "a b c d", "x"], ["e f g h", "e f g h", "y z"], ["alone"]]
    people, against, images = Scorer(references).people
    assert (against, images) == (2, 2)
    rounds = [
        score([others[k] for others in references[:2]], [others[:k] + others[k + 1 :] for others in references[:2]])
        for k in range(3)
    ]
    assert people == pytest.approx({name: sum(r[name] for r in rounds) / 3 for name in people})
    assert Scorer([["one"], ["two"]]).people == ({}, 0, 0)


def test_references_without_any_word_score_nothing_and_do_not_crash() -> None:
    scores = score(["a dog", "a cat"], [["..."], ["!"]])
    assert scores["CIDEr-D"] == 0
    assert scores["ROUGE-L"] == 0
