"""The confidence of a caption: which captions can be trusted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES

import looksay
from looksay import Caption
from looksay.errors import BundleError, OptionError
from looksay.tagging.confidence import FEATURES, ConfidenceModel

DETECTED = np.array([0.8, 0.5, 0.01])


def model(**weights: float) -> ConfidenceModel:
    return ConfidenceModel(("dog", "beach", "cat"), tuple(weights.get(name, 0.0) for name in FEATURES), 0.0)


def test_a_caption_of_detected_words_is_trusted_more_than_one_of_others() -> None:
    trust = model(least=1.0)
    probable = trust(("a", "dog", "on", "the", "beach"), -5.0, DETECTED)
    assert probable == pytest.approx(0.5 / 1.5)  # the odds are those of the least probable word
    assert trust(("a", "cat", "on", "the", "beach"), -5.0, DETECTED) < probable
    assert trust(("a", "thing"), -5.0, DETECTED) < 0.01  # no word is known


def test_a_probable_caption_is_trusted_more_whatever_its_length() -> None:
    trust = model(log_prob=2.0)
    assert trust(("a", "dog"), -3.0, DETECTED) == trust(("a", "dog", "runs"), -4.0, DETECTED)
    assert trust(("a", "dog"), -2.0, DETECTED) > trust(("a", "dog"), -3.0, DETECTED)


def test_a_file_is_read_as_written_and_a_broken_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "confidence.json"
    model(least=1.0).save(file)
    assert ConfidenceModel.load(file) == model(least=1.0)
    file.write_text(json.dumps({"words": ["dog"], "weights": [1.0], "bias": 0.0}))
    with pytest.raises(BundleError, match=re.escape(f"{file} is not a confidence model")):
        ConfidenceModel.load(file)


def test_a_model_without_confidence_says_so(small_bundle: Path) -> None:
    captioner = looksay.load(small_bundle)
    with pytest.raises(OptionError, match=re.escape("has no confidence.json")):
        captioner.options({"min_confidence": 0.5})


def test_of_the_captions_that_were_found_the_more_trusted_ones_come_first() -> None:
    captioner, changed = looksay.load(), 0
    for photo in sorted(EXAMPLES.glob("*.jpg")):
        by_weight = {
            weight: captioner(photo, num_captions=3, tags=False, confidence_weight=weight) for weight in (0.0, 0.5, 9.0)
        }
        for weight, captions in by_weight.items():
            scores = [one.log_prob / (len(one.tokens) + 1) + weight * _confidence(one) for one in captions]
            assert scores == sorted(scores, reverse=True)
            assert {one.text for one in captions} == {one.text for one in by_weight[0.0]}
        assert captioner(photo, tags=False) == by_weight[0.5][0]
        changed += by_weight[9.0] != by_weight[0.0]
    assert changed


def _confidence(caption: Caption) -> float:
    assert caption.confidence is not None
    return caption.confidence
