"""Who asks for the best caption must get the best one, whatever else is in the batch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from looksay import OptionError
from looksay.search import DecoderState, Hypothesis, Rows, Tokens, search
from looksay.specs import SearchOptions

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


def decode(table: Table, options: SearchOptions, forbidden: tuple[int, ...] = ()) -> list[list[Hypothesis]]:
    def step(tokens: Tokens, state: Toy) -> tuple[Any, Toy]:
        return table[state.image, state.before, tokens].copy(), Toy(state.image, tokens)

    state = Toy(np.arange(len(table)), np.zeros(len(table), dtype=np.int64))
    return search(step, state, options, start=START, end=END, forbidden=forbidden)


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
    options = SearchOptions(beam=len(every) * 2, n_best=4, max_words=longest, length_exponent=exponent)
    for image, found in enumerate(decode(table, options)):
        ranked = sorted(every, key=lambda words: -log_prob(table[image], words) / (len(words) + 1) ** exponent)
        assert [caption.tokens for caption in found] == ranked[:4]
        for caption in found:
            assert caption.log_prob == pytest.approx(log_prob(table[image], caption.tokens), abs=1e-4)
            assert caption.score == pytest.approx(caption.log_prob / (len(caption.tokens) + 1) ** exponent)


@given(st.integers(0, 10_000))
def test_greedy_says_the_likeliest_word_each_time(seed: int) -> None:
    table = tables(seed, images=3)
    for image, (caption,) in enumerate(decode(table, SearchOptions(beam=1, max_words=6))):
        before, last = START, START
        for word in caption.tokens:
            choices = table[image, before, last].copy()
            choices[START] = -np.inf
            assert word == choices.argmax()
            before, last = last, word
        assert caption.log_prob == pytest.approx(log_prob(table[image], caption.tokens), abs=1e-4)


@given(st.integers(0, 10_000))
def test_a_beam_of_one_is_greedy_search(seed: int) -> None:
    from looksay import search as module

    table, options = tables(seed, images=3), SearchOptions(beam=1, max_words=6)
    greedy = decode(table, options)
    real, module._greedy = module._greedy, module._beam
    try:
        assert decode(table, options) == greedy
    finally:
        module._greedy = real


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_picture_gets_the_same_captions_alone_and_in_a_batch(seed: int, beam: int) -> None:
    table, options = tables(seed, images=4), SearchOptions(beam=beam, n_best=beam, max_words=5)
    together = decode(table, options)
    assert together == [decode(table[image : image + 1], options)[0] for image in range(4)]


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_captions_are_sorted_different_and_within_the_limit(seed: int, beam: int) -> None:
    for found in decode(tables(seed, images=2), SearchOptions(beam=beam, n_best=beam, max_words=4)):
        assert 1 <= len(found) <= beam
        assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
        assert len({caption.tokens for caption in found}) == len(found)
        assert all(len(caption.tokens) <= 4 and not {START, END} & set(caption.tokens) for caption in found)


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_a_forbidden_word_is_never_said(seed: int, beam: int) -> None:
    for found in decode(tables(seed, images=2), SearchOptions(beam=beam, max_words=5), forbidden=(2,)):
        assert 2 not in found[0].tokens


def test_a_longer_beam_beats_greed() -> None:
    table = np.full((1, 5, 5, 5), -20.0, dtype=np.float32)
    table[0, 0, 0, 2], table[0, 0, 0, 3] = np.log(0.6), np.log(0.4)
    table[0, 0, 2, 4], table[0, 2, 4, 1] = np.log(0.3), np.log(0.3)  # the likely start leads nowhere
    table[0, 0, 3, 1] = np.log(0.9)
    assert decode(table, SearchOptions(beam=1))[0][0].tokens[0] == 2
    assert decode(table, SearchOptions(beam=2))[0][0].tokens == (3,)


def test_memory_is_copied_only_when_pictures_change_place() -> None:
    state = DecoderState.begin({"keys": np.arange(3.0)}, {"cell": np.arange(3.0)})
    same = state.take(np.array([0, 1, 2]))
    assert same.memory is state.memory
    moved = state.take(np.array([2, 2, 0, 0]))
    assert moved.memory["keys"].tolist() == moved.hidden["cell"].tolist() == [2, 2, 0, 0]
    assert moved.take(np.array([1, 0, 3, 2])).memory is moved.memory


@pytest.mark.parametrize(
    "options", [{"beam": 0}, {"n_best": 4}, {"n_best": 0}, {"max_words": 0}, {"length_exponent": -1}]
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        SearchOptions(**options)
