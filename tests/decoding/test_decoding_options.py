"""Invalid decoding options are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from looksay import DecodingOptions, OptionError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 0}, "num_beams 0 is out of range: use 1 to 100"),
        ({"num_captions": 101}, "num_captions 101 is out of range: use 1 to 100"),
        ({"num_captions": 0}, "num_captions 0"),
        ({"max_length": 0}, "max_length 0"),
        ({"length_penalty": -1}, "length_penalty -1.0"),
        ({"min_length": 21}, r"min_length 21 is out of range: use 0 to max_length \(20\)"),
        ({"num_beam_groups": 2}, "num_beam_groups 2 does not divide num_beams 3"),
        ({"temperature": -1}, "temperature -1"),
        ({"top_p": 0}, "top_p 0.0 is out of range: use a value above 0 and at most 1"),
        ({"top_p": float("nan")}, "top_p nan is not a number"),
        ({"top_k": -1}, "top_k -1 is out of range: use a value at least 0"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size -1"),
        ({"bad_words": "a"}, "bad_words 'a' is not a list of words"),
        ({"force_words": ["dog"], "temperature": 1.0}, "force_words and temperature exclude each other"),
        ({"force_words": ["dog"], "num_beams": 4, "num_beam_groups": 2}, "force_words and num_beam_groups exclude"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        DecodingOptions(**options)


def test_equivalent_values_are_equal() -> None:
    options = DecodingOptions(num_beams=np.int64(4), length_penalty=1, bad_words=(word for word in ("a", "b")))  # type: ignore[arg-type]
    assert options == DecodingOptions(num_beams=4, length_penalty=1.0, bad_words=("a", "b"))
