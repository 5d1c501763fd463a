"""Greedy, beam and diverse beam search return the captions that enumeration finds, whatever the batch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_model import (
    END,
    START,
    UNK,
    A,
    B,
    C,
    ToyState,
    all_captions,
    decode,
    log_prob,
    random_table,
    ranked,
    searches,
    seeds,
)

from looksay.decoding.beam_search import beam_search, top_columns
from looksay.decoding.logits_processors import forbid, process
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Hypothesis


@settings(deadline=None)
@given(seeds, st.sampled_from([0.0, 0.7, 1.0]))
def test_a_wide_beam_finds_the_best_of_all_captions(seed: int, length_penalty: float) -> None:
    table, captions = random_table(seed, images=2), all_captions(3)
    options = DecodingOptions(num_beams=2 * len(captions), num_captions=4, max_length=3, length_penalty=length_penalty)
    for image, hypotheses in enumerate(decode(table, options)):
        assert [hypothesis.tokens for hypothesis in hypotheses] == ranked(table[image], captions, length_penalty)[:4]
        for hypothesis in hypotheses:
            steps = len(hypothesis.tokens) + 1
            assert hypothesis.log_prob == pytest.approx(log_prob(table[image], hypothesis.tokens), abs=1e-4)
            assert hypothesis.score == pytest.approx(hypothesis.log_prob / steps**length_penalty)


@given(seeds)
def test_greedy_search_takes_the_most_probable_token(seed: int) -> None:
    table = random_table(seed, images=3)
    for image, (hypothesis,) in enumerate(decode(table, DecodingOptions(num_beams=1, max_length=6))):
        before, last = START, START
        for token in hypothesis.tokens:
            choices = table[image, before, last].copy()
            choices[[START, UNK]] = -np.inf
            assert token == choices.argmax()
            before, last = last, token
        assert hypothesis.log_prob == pytest.approx(log_prob(table[image], hypothesis.tokens), abs=1e-4)


@given(seeds)
def test_a_beam_search_of_one_beam_is_greedy_search(seed: int) -> None:
    table, options = random_table(seed, images=3), DecodingOptions(num_beams=1, max_length=6)

    def step(tokens: np.ndarray, state: ToyState) -> tuple[np.ndarray, ToyState]:
        return table[state.image, state.before, tokens].copy(), ToyState(state.image, tokens)

    processed = process(step, [partial(forbid, [START, UNK])], options)
    state = ToyState(np.arange(3), np.full(3, START))
    assert beam_search(processed, state, options) == decode(table, options)


@given(seeds, searches)
def test_captions_do_not_depend_on_the_batch(seed: int, options: DecodingOptions) -> None:
    table = random_table(seed, images=4)
    assert decode(table, options) == [decode(table[image : image + 1], options)[0] for image in range(4)]


@given(seeds, st.integers(2, 4))
def test_captions_are_ranked_distinct_and_within_the_maximum_length(seed: int, num_beams: int) -> None:
    options = DecodingOptions(num_beams=num_beams, num_captions=num_beams, max_length=4)
    for hypotheses in decode(random_table(seed, images=2), options):
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert 1 <= len(hypotheses) <= num_beams
        assert scores == sorted(scores, reverse=True)
        assert len({hypothesis.tokens for hypothesis in hypotheses}) == len(hypotheses)
        assert all(len(h.tokens) <= 4 and not {START, END, UNK} & set(h.tokens) for h in hypotheses)


@given(seeds, st.sampled_from([(), ("bravo",)]))
def test_another_score_ranks_the_captions_of_all_beams_however_many_are_asked_for(
    seed: int, force_words: tuple[str, ...]
) -> None:
    table = random_table(seed, images=2)
    options = DecodingOptions(num_beams=3, num_captions=3, max_length=5, force_words=force_words)

    def rescore(image: int, hypothesis: Hypothesis) -> Hypothesis:
        """The image's own taste: more or fewer of a token."""
        return replace(hypothesis, score=hypothesis.score + (1 - 2 * image) * hypothesis.tokens.count(A))

    for image, candidates in enumerate(decode(table, options)):
        expected = sorted((rescore(image, one) for one in candidates), key=lambda one: -one.score)
        for count in (1, 2, 3):
            search = replace(options, num_captions=count)
            assert decode(table, search, rescore=rescore)[image] == expected[:count]
        wide = decode(table, replace(options, num_captions=5), rescore=rescore)[image]
        assert wide[0] == expected[0]


def test_two_beams_find_a_better_caption_than_greedy_search() -> None:
    table = np.full((1, 6, 6, 6), -20.0, dtype=np.float32)
    table[0, START, START, A], table[0, START, START, B] = np.log(0.6), np.log(0.4)
    table[0, START, A, C], table[0, A, C, END] = np.log(0.3), np.log(0.3)
    table[0, START, B, END] = np.log(0.9)
    assert decode(table, DecodingOptions(num_beams=1))[0][0].tokens[0] == A
    assert decode(table, DecodingOptions(num_beams=2))[0][0].tokens == (B,)


@given(st.integers(1, 3), st.integers(1, 300), st.integers(1, 7), seeds)
def test_top_columns_are_those_of_a_sort(rows: int, columns: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-9, 9, (rows, columns)).astype(float)  # many are equal
    values[values == -9] = -np.inf
    best = top_columns(values, count)
    assert all(len(set(row)) == min(count, columns) for row in best.tolist())
    assert np.array_equal(np.take_along_axis(values, best, axis=1), -np.sort(-values, axis=1)[:, :count])


@given(seeds)
def test_groups_without_a_penalty_are_separate_beam_searches(seed: int) -> None:
    table = random_table(seed, images=2)
    alone = DecodingOptions(num_beams=2, num_captions=2, max_length=5)
    grouped = DecodingOptions(num_beams=4, num_beam_groups=2, num_captions=2, diversity_penalty=0.0, max_length=5)
    assert decode(table, grouped) == decode(table, alone)


def test_more_captions_than_groups_can_have_beams_are_as_many_as_there_are() -> None:
    options = DecodingOptions(num_beams=60, num_beam_groups=60, num_captions=61, max_length=3)
    assert 1 <= len(decode(random_table(0), options)[0]) <= 60


def test_a_larger_diversity_penalty_gives_more_different_captions() -> None:
    def first_tokens(penalty: float) -> int:
        options = DecodingOptions(
            num_beams=4, num_beam_groups=4, num_captions=4, diversity_penalty=penalty, max_length=5
        )
        return sum(len({h.tokens[:1] for h in hypotheses}) for hypotheses in decode(random_table(5, 50), options))

    assert first_tokens(0.0) == 50
    assert first_tokens(0.5) > 60
    assert first_tokens(5.0) > first_tokens(0.5)
