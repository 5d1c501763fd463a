"""Forbidden tokens are in no caption, on a model of six tokens and on the one that ships."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import given
from toy_model import A, B, C, decode, decode_tokens, log_prob, random_table, searches, seeds

import looksay
from looksay import DecodingOptions, OptionError
from looksay.decoding import logits_processors
from looksay.decoding.logits_processors import DANGLING
from looksay.text.vocabulary import SPECIAL, Vocabulary

PHOTO = EXAMPLES / "boats.jpg"


@given(seeds, searches)
def test_a_forbidden_token_is_not_decoded(seed: int, options: DecodingOptions) -> None:
    for tokens in decode_tokens(random_table(seed, 2), options, partial(logits_processors.forbid, [A])):
        assert A not in tokens


@given(seeds, searches)
def test_ngrams_are_not_repeated(seed: int, options: DecodingOptions) -> None:
    for size in (1, 2):
        for tokens in decode_tokens(random_table(seed, 2), options, partial(logits_processors.no_repeat_ngram, size)):
            ngrams = [tokens[start : start + size] for start in range(len(tokens) - size + 1)]
            assert len(set(ngrams)) == len(ngrams)


@given(seeds, searches)
def test_captions_have_the_minimum_length_and_do_not_end_after_forbidden_tokens(
    seed: int, options: DecodingOptions
) -> None:
    table = random_table(seed, images=2)
    assert all(len(tokens) >= 3 for tokens in decode_tokens(table, options, partial(logits_processors.min_length, 3)))
    for tokens in decode_tokens(table, options, partial(logits_processors.no_end_after, [A, B])):
        assert len(tokens) == 6 or not tokens or tokens[-1] == C  # at the maximum length, a caption must end


@given(seeds, searches)
def test_captions_start_with_the_prefix_and_its_probability_counts(seed: int, options: DecodingOptions) -> None:
    table = random_table(seed, images=2)
    for image, hypotheses in enumerate(decode(table, options, partial(logits_processors.force_prefix, [C, C]))):
        for hypothesis in hypotheses:
            assert hypothesis.tokens[:2] == (C, C)
            assert hypothesis.log_prob == pytest.approx(log_prob(table[image], hypothesis.tokens), abs=1e-4)


@given(seeds, searches)
def test_a_caption_without_an_allowed_token_ends(seed: int, options: DecodingOptions) -> None:
    table = random_table(seed, images=2)
    processors = partial(logits_processors.forbid, [A, B, C]), partial(logits_processors.min_length, 9)
    for image, (hypothesis,) in enumerate(decode(table, options, *processors)):
        assert hypothesis.tokens == ()
        assert hypothesis.log_prob == pytest.approx(log_prob(table[image], ()), abs=1e-4)


def test_function_words_may_be_repeated() -> None:
    vocabulary = Vocabulary((*SPECIAL, "a", "white", "cat", "and"))
    log_probs = np.zeros((2, len(vocabulary)), dtype=np.float32)
    tokens = np.array([vocabulary.encode("a white cat and"), vocabulary.encode("a white white and")])
    for processor in logits_processors.from_options(DecodingOptions(no_repeat_words=True), vocabulary):
        processor(log_probs, tokens)
    allowed = [[word for word, value in zip(vocabulary.tokens, row, strict=True) if value == 0] for row in log_probs]
    assert allowed == [["<end>", "a", "and"], ["<end>", "a", "cat", "and"]]


def test_a_noun_is_not_said_of_itself_in_the_other_number() -> None:
    vocabulary = Vocabulary((*SPECIAL, "mountain", "mountains", "man", "men", "cities", "city", "bus"))
    log_probs = np.zeros((1, len(vocabulary)), dtype=np.float32)
    logits_processors.no_repeat_words(vocabulary)(log_probs, np.array([vocabulary.encode("mountain men city bus")]))
    assert [vocabulary.tokens[token] for token in np.flatnonzero(log_probs[0] == 0)] == list(SPECIAL)


def test_an_article_fits_the_sound_and_the_number_of_the_next_word() -> None:
    words = ("owl", "unicorn", "dog", "dogs", "man", "men", "bus", "city", "cities", "foxes", "fox")
    vocabulary = Vocabulary((*SPECIAL, "a", "an", *words))
    log_probs = np.zeros((2, len(vocabulary)), dtype=np.float32)
    logits_processors.agreeing_article(vocabulary)(log_probs, np.array([vocabulary.encode("a"), [4]]))
    forbidden = [[vocabulary.tokens[token] for token in np.flatnonzero(np.isinf(row))] for row in log_probs]
    plurals = ["dogs", "men", "cities", "foxes"]
    assert forbidden[0] == ["a", "an", "owl", *plurals]
    assert sorted(forbidden[1]) == sorted(["unicorn", "dog", "man", "bus", "city", "fox", *plurals])


@pytest.fixture(scope="module")
def captioner() -> looksay.Captioner:
    return looksay.load()


def test_bad_words_are_avoided_and_a_prefix_is_kept(captioner: looksay.Captioner) -> None:
    best = captioner(PHOTO)
    assert "boats" in best.tokens
    assert not {"boat", "boats"} & set(captioner(PHOTO, bad_words={"boat", "boats"}).tokens)
    with_prefix = captioner(PHOTO, prefix="Two dogs")
    assert with_prefix.text.startswith("two dogs ")
    assert with_prefix.log_prob < best.log_prob


def test_of_a_phrase_only_the_whole_is_avoided(captioner: looksay.Captioner) -> None:
    """Who forbids hot dogs still wants dogs."""
    own = captioner(PHOTO)
    first, of, last = own.tokens[1:4]
    assert (of, last) == ("of", "boats")
    other = captioner(PHOTO, bad_words=[f"{first} of boats"])
    assert f"{first} of boats" not in other.text
    assert {first, "boats"} & set(other.tokens)
    assert captioner(PHOTO, bad_words=[f"boats of {first}", "boats xylophone"]) == own
    forced = captioner(PHOTO, bad_words=["blue boats"], force_words=["boats", "blue"])
    assert {"boats", "blue"} <= set(forced.tokens)
    assert "blue boats" not in forced.text


@pytest.mark.parametrize("length", range(3, 11))
def test_no_caption_of_the_maximum_length_dangles(captioner: looksay.Captioner, length: int) -> None:
    for photo in ("boats.jpg", "cat.jpg", "alps.jpg"):
        options: list[dict[str, Any]] = [{}, {"num_beams": 1}, *[{"prefix": "a picture of"}] * (length > 3)]
        for more in options:
            (caption,) = captioner.captions([EXAMPLES / photo], no_dangling=True, max_length=length, **more)
            assert isinstance(caption, looksay.Caption)
            assert caption.tokens[-1] not in DANGLING, caption.text


def test_no_caption_dangles_or_repeats_a_word(captioner: looksay.Captioner) -> None:
    captions = captioner(PHOTO, num_captions=10, no_dangling=True, no_repeat_ngram_size=1, min_length=8)
    assert len(captions) == 10
    assert all(len(set(caption.tokens)) == len(caption.tokens) >= 8 for caption in captions)
    assert all(caption.tokens[-1] not in ("a", "the", "of", "with") for caption in captions)


def test_samples_differ_by_seed(captioner: looksay.Captioner) -> None:
    samples = [captioner(PHOTO, temperature=1.0, seed=seed).text for seed in range(5)]
    assert len(set(samples)) > 1
    assert samples[0] == captioner(PHOTO, temperature=1.0, seed=0).text


def test_beam_groups_give_more_different_captions(captioner: looksay.Captioner) -> None:
    beams = captioner(PHOTO, num_beams=4, num_captions=4)
    groups = captioner(PHOTO, num_beams=4, num_captions=4, num_beam_groups=4, diversity_penalty=2.0)
    assert len({caption.tokens[:3] for caption in groups}) > len({caption.tokens[:3] for caption in beams})


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("a xylophone", "prefix: 'xylophone' is not in the model's vocabulary"), ("a dog " * 11, "prefix .* is too long")],
)
def test_a_prefix_that_cannot_be_decoded_is_refused(captioner: looksay.Captioner, prefix: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        captioner(PHOTO, prefix=prefix)
