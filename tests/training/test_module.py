"""The Lightning module outside of a run; tests/training/test_run.py trains with it."""

from __future__ import annotations

import logging

import pytest
from torch import nn

from looksay import Caption
from looksay.text.vocabulary import Vocabulary
from looksay.training.module import CaptionModule
from looksay.training.recipe import Recipe


def test_the_end_of_training_says_what_is_wrong_with_the_captions(caplog: pytest.LogCaptureFixture) -> None:
    """Of a few photos, a model learns captions such as "a man in a"; the scores alone do not say what to do."""
    module = CaptionModule(nn.Identity(), Recipe(), Vocabulary.build(["a man in"]))  # type: ignore[arg-type]
    module.captions = {index: Caption("a man in a", ("a", "man", "in", "a"), -1.0) for index in range(10)}
    with caplog.at_level(logging.WARNING, logger="looksay"):
        module.on_fit_end()
    dangling, unique = caplog.messages
    assert dangling.startswith(
        "val captions of the last epoch: 100 % of the captions end abruptly: decode with no_dangling"
    )
    assert unique.startswith("val captions of the last epoch: only 10 % of the captions are different: train with more")
