"""Who asks for the best caption must get the best one, whatever else is in the batch."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from looksay import OptionError
from looksay.decoding import logits_processors
from looksay.decoding.options import DecodingOptions
from looksay.decoding.search import Hypothesis, search, top
from looksay.decoding.state import DecoderState, Rows, Tokens

START, END = 0, 1
Table = NDArray[np.float32]


@dataclass(frozen=True)
class Toy:
    """A five-word language: each image has a table of log-probabilities by word before last and last word."""

    image: NDArray[np.intp]
    before: Tokens

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Rows) -> Self:
        return type(self)(self.image[rows], self.before[rows])


def tables(seed: int, images: int, words: int = 5) -> Table:
    scores = np.random.default_rng(seed).normal(size=(images, words, words, words)) * 2
    normal: Table = (scores - np.log(np.exp(scores).sum(-1, keepdims=True))).astype(np.float32)
    return normal


def decode(table: Table, options: DecodingOptions, *more: logits_processors.LogitsProcessor) -> list[list[Hypothesis]]:
    def step(tokens: Tokens, state: Toy) -> tuple[Any, Toy]:
        return table[state.image, state.before, tokens].copy(), Toy(state.image, tokens)

    state = Toy(np.arange(len(table)), np.zeros(len(table), dtype=np.int64))
    return search(step, state, options, start=START, end=END, rules=[logits_processors.never([START]), *more])


def log_prob(table: Table, words: tuple[int, ...]) -> float:
    before, last, total = START, START, 0.0
    for word in (*words, END):
        total += float(table[before, last, word])
        before, last = last, word
    return total


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.7, 1.0]))
def test_a_wide_beam_finds_what_trying_everything_finds(seed: int, exponent: float) -> None:
    table, longest = tables(seed, images=2), 3
    every = [words for n in range(longest + 1) for words in itertools.product((2, 3, 4), repeat=n)]
    options = DecodingOptions(num_beams=len(every) * 2, num_captions=4, max_length=longest, length_penalty=exponent)
    for image, found in enumerate(decode(table, options)):
        ranked = sorted(every, key=lambda words: -log_prob(table[image], words) / (len(words) + 1) ** exponent)
        assert [caption.tokens for caption in found] == ranked[:4]
        for caption in found:
            assert caption.log_prob == pytest.approx(log_prob(table[image], caption.tokens), abs=1e-4)
            assert caption.score == pytest.approx(caption.log_prob / (len(caption.tokens) + 1) ** exponent)


@given(st.integers(0, 10_000))
def test_greedy_says_the_likeliest_word_each_time(seed: int) -> None:
    table = tables(seed, images=3)
    for image, (caption,) in enumerate(decode(table, DecodingOptions(num_beams=1, max_length=6))):
        before, last = START, START
        for word in caption.tokens:
            choices = table[image, before, last].copy()
            choices[START] = -np.inf
            assert word == choices.argmax()
            before, last = last, word
        assert caption.log_prob == pytest.approx(log_prob(table[image], caption.tokens), abs=1e-4)


@given(st.integers(0, 10_000))
def test_a_beam_of_one_is_greedy_search(seed: int) -> None:
    from looksay.decoding import search as module

    table, options = tables(seed, images=3), DecodingOptions(num_beams=1, max_length=6)
    greedy = decode(table, options)
    real, module._greedy = module._greedy, module._beam
    try:
        assert decode(table, options) == greedy
    finally:
        module._greedy = real


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_image_gets_the_same_captions_alone_and_in_a_batch(seed: int, beam: int) -> None:
    table, options = tables(seed, images=4), DecodingOptions(num_beams=beam, num_captions=beam, max_length=5)
    together = decode(table, options)
    assert together == [decode(table[image : image + 1], options)[0] for image in range(4)]


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_image_is_drawn_the_same_captions_alone_and_in_a_batch(seed: int, count: int) -> None:
    table = tables(seed, images=4)
    options = DecodingOptions(num_captions=count, max_length=5, temperature=1.5, seed=seed)
    together = decode(table, options)
    assert together == [decode(table[image : image + 1], options)[0] for image in range(4)]


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_captions_are_sorted_different_and_within_the_limit(seed: int, beam: int) -> None:
    for found in decode(tables(seed, images=2), DecodingOptions(num_beams=beam, num_captions=beam, max_length=4)):
        assert 1 <= len(found) <= beam
        assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
        assert len({caption.tokens for caption in found}) == len(found)
        assert all(len(caption.tokens) <= 4 and not {START, END} & set(caption.tokens) for caption in found)


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_a_forbidden_word_is_never_said(seed: int, beam: int) -> None:
    for found in decode(
        tables(seed, images=2), DecodingOptions(num_beams=beam, max_length=5), logits_processors.never([2])
    ):
        assert 2 not in found[0].tokens


def test_a_longer_beam_beats_greed() -> None:
    table = np.full((1, 5, 5, 5), -20.0, dtype=np.float32)
    table[0, 0, 0, 2], table[0, 0, 0, 3] = np.log(0.6), np.log(0.4)
    table[0, 0, 2, 4], table[0, 2, 4, 1] = np.log(0.3), np.log(0.3)  # the likely start leads nowhere
    table[0, 0, 3, 1] = np.log(0.9)
    assert decode(table, DecodingOptions(num_beams=1))[0][0].tokens[0] == 2
    assert decode(table, DecodingOptions(num_beams=2))[0][0].tokens == (3,)


def test_memory_is_copied_only_when_images_change() -> None:
    state = DecoderState.begin({"keys": np.arange(3.0)}, {"cell": np.arange(3.0)})
    assert state.take(np.array([0, 1, 2])).memory is state.memory
    beams = state.take(np.array([0, 0, 1, 1, 2, 2]))
    assert beams.memory is state.memory
    assert beams.hidden["cell"].tolist() == [0, 0, 1, 1, 2, 2]
    fewer = beams.take(np.array([5, 4, 1, 0]))
    assert fewer.memory["keys"].tolist() == [2, 0]
    assert fewer.take(np.array([1, 0, 3, 2])).memory is fewer.memory


@given(st.lists(st.integers(0, 3), max_size=9), st.data())
def test_each_row_looks_at_its_own_image_whatever_is_taken(first: list[int], data: st.DataObject) -> None:
    state = DecoderState.begin({"keys": np.arange(4.0)}, {"cell": np.arange(4.0)}).take(np.array(first, dtype=int))
    if first:
        state = state.take(np.array(data.draw(st.lists(st.integers(0, len(first) - 1), max_size=9)), dtype=int))
    each = len(state) // max(1, len(state.memory["keys"]))
    assert np.repeat(state.memory["keys"], each).tolist() == state.hidden["cell"].tolist()


@given(st.integers(1, 3), st.integers(1, 300), st.integers(1, 7), st.integers(0, 10_000))
def test_the_best_continuations_are_those_that_sorting_all_finds(rows: int, words: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-9, 9, (rows, words)).astype(float)  # with many that are equal
    values[values == -9] = -np.inf
    assert top(values, count).tolist() == np.argsort(-values, axis=1, kind="stable")[:, :count].tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 0},
        {"num_captions": 4},
        {"num_captions": 0},
        {"max_length": 0},
        {"length_penalty": -1},
        {"min_length": 21},
        {"num_beam_groups": 2},
        {"temperature": -1},
        {"top_p": 0},
        {"top_k": -1},
        {"no_repeat_ngram_size": -1},
        {"bad_words": "a"},
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        DecodingOptions(**options)


ids = st.integers(0, 10_000)
beams = st.sampled_from(
    [DecodingOptions(num_beams=1, max_length=6), DecodingOptions(num_beams=4, num_captions=3, max_length=6)]
)


def said(table: Table, options: DecodingOptions, *obeyed: logits_processors.LogitsProcessor) -> list[tuple[int, ...]]:
    return [caption.tokens for found in decode(table, options, *obeyed) for caption in found]


@given(ids, beams)
def test_a_run_of_words_is_not_said_twice(seed: int, options: DecodingOptions) -> None:
    for length in (1, 2):
        for words in said(tables(seed, images=2), options, logits_processors.no_repeat(length)):
            runs = [words[start : start + length] for start in range(len(words) - length + 1)]
            assert len(set(runs)) == len(runs)


@given(ids, beams)
def test_captions_have_the_least_length_and_do_not_end_in_forbidden_words(seed: int, options: DecodingOptions) -> None:
    table = tables(seed, images=2)
    assert all(len(words) >= 3 for words in said(table, options, logits_processors.at_least(3, END)))
    for words in said(table, options, logits_processors.not_after([2, 3], END)):
        assert len(words) == 6 or not words or words[-1] == 4


@given(ids, beams)
def test_captions_begin_as_told_and_go_on_as_the_model_likes(seed: int, options: DecodingOptions) -> None:
    table = tables(seed, images=2)
    for image, found in enumerate(decode(table, options, logits_processors.beginning([4, 4]))):
        for caption in found:
            assert caption.tokens[:2] == (4, 4)
            assert caption.log_prob == pytest.approx(log_prob(table[image], caption.tokens), abs=1e-4)


@given(ids, beams)
def test_a_caption_that_may_not_go_on_ends(seed: int, options: DecodingOptions) -> None:
    table = tables(seed, images=2)
    for image, found in enumerate(
        decode(table, options, logits_processors.never([2, 3, 4]), logits_processors.at_least(9, END))
    ):
        assert [caption.tokens for caption in found] == [()]
        assert found[0].log_prob == pytest.approx(log_prob(table[image], ()), abs=1e-4)


def test_drawing_follows_the_models_probabilities() -> None:
    table = tables(3, images=1)
    options = DecodingOptions(num_captions=100, max_length=1, temperature=1.0)
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(100):
        for caption in decode(table, dataclasses.replace(options, seed=seed))[0]:
            counts[caption.tokens] = counts.get(caption.tokens, 0) + 1
    first = np.exp(table[0, START, START].astype(float))
    first[START] = 0
    for words in ((), (2,), (3,), (4,)):
        expected = first[words[0] if words else END] / first.sum()
        assert counts.get(words, 0) / 10_000 == pytest.approx(expected, abs=0.02)


@given(ids)
def test_drawing_is_the_same_for_a_seed_and_can_be_narrowed_to_greed(seed: int) -> None:
    table = tables(seed, images=3)
    options = DecodingOptions(num_captions=4, num_beams=4, max_length=6, temperature=1.5, seed=seed)
    assert decode(table, options) == decode(table, options)
    greedy = [found[0].tokens for found in decode(table, DecodingOptions(num_beams=1, max_length=6))]
    for narrow in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-9}):
        drawn = decode(table, dataclasses.replace(options, **narrow))
        assert [[caption.tokens for caption in found] for found in drawn] == [[words] * 4 for words in greedy]


@given(ids)
def test_groups_that_do_not_mind_each_other_are_beams_of_their_own(seed: int) -> None:
    table = tables(seed, images=2)
    alone = decode(table, DecodingOptions(num_beams=2, num_captions=2, max_length=5))
    grouped = decode(
        table, DecodingOptions(num_beams=4, num_beam_groups=2, num_captions=2, diversity_penalty=0.0, max_length=5)
    )
    assert grouped == alone


def test_groups_that_mind_each_other_say_more_different_words() -> None:
    def distinct(diversity: float) -> int:
        options = DecodingOptions(
            num_beams=4, num_beam_groups=4, num_captions=4, diversity_penalty=diversity, max_length=5
        )
        return sum(len({c.tokens[:1] for c in found}) for found in decode(tables(5, images=50), options))

    assert distinct(0.0) == 50
    assert distinct(0.5) > 60
    assert distinct(5.0) > distinct(0.5)
