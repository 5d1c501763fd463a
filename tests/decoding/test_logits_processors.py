"""Who forbids a word, or gives a beginning, says it in words and not in ids."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import EXAMPLES

import looksay
from looksay import OptionError
from looksay.decoding import logits_processors
from looksay.decoding.options import DecodingOptions
from looksay.text.vocabulary import SPECIAL, Vocabulary

PHOTO = EXAMPLES / "boats.jpg"


@pytest.fixture(scope="module")
def captioner() -> looksay.Captioner:
    return looksay.load()


def test_words_are_forbidden_and_beginnings_forced(captioner: looksay.Captioner) -> None:
    best = captioner(PHOTO)
    assert "boat" in best.tokens
    without = captioner(PHOTO, bad_words=("boat", "boats"))
    assert not {"boat", "boats"} & set(without.tokens)
    forced = captioner(PHOTO, prefix="Two dogs")
    assert forced.text.startswith("two dogs ")
    assert forced.log_prob < best.log_prob


def test_no_caption_dangles_or_repeats_a_word(captioner: looksay.Captioner) -> None:
    found = captioner.candidates(PHOTO, num_captions=10, no_dangling=True, no_repeat_ngram_size=1, min_length=8)
    assert all(len(set(caption.tokens)) == len(caption.tokens) >= 8 for caption in found)
    assert all(caption.tokens[-1] not in ("a", "the", "of", "with") for caption in found)


def test_drawn_captions_differ_by_seed(captioner: looksay.Captioner) -> None:
    drawn = [captioner(PHOTO, temperature=1.0, seed=seed).text for seed in range(5)]
    assert len(set(drawn)) > 1
    assert drawn[0] == captioner(PHOTO, temperature=1.0, seed=0).text


def test_groups_give_other_captions(captioner: looksay.Captioner) -> None:
    beam = captioner.candidates(PHOTO, num_beams=4, num_captions=4)
    groups = captioner.candidates(PHOTO, num_beams=4, num_captions=4, num_beam_groups=4, diversity_penalty=2.0)
    assert len({c.tokens[:3] for c in groups}) > len({c.tokens[:3] for c in beam})


@pytest.mark.parametrize("prefix", ["a xylophone", "a dog " * 11])
def test_beginnings_that_cannot_be_said_are_refused(captioner: looksay.Captioner, prefix: str) -> None:
    with pytest.raises(OptionError, match="prefix is"):
        captioner(PHOTO, prefix=prefix)


def test_no_word_echoes_but_small_ones() -> None:
    words = Vocabulary((*SPECIAL, "a", "white", "cat", "and"))
    obeyed = logits_processors.of(DecodingOptions(no_repeat_words=True), words)
    log_probs = np.zeros((2, len(words)))
    written = np.array([words.encode("a white cat and"), words.encode("a white white and")])
    for rule in obeyed:
        rule(log_probs, written)
    allowed = [[word for word, value in zip(words.tokens, row, strict=True) if value == 0] for row in log_probs]
    assert allowed == [["<end>", "a", "and"], ["<end>", "a", "cat", "and"]]
