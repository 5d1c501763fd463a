"""A model of six tokens, whose captions can be enumerated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from looksay.decoding import decode as decoding
from looksay.decoding.logits_processors import LogitsProcessor
from looksay.decoding.options import DecodingOptions
from looksay.decoding.state import Hypothesis, Rescore, Rows, Tokens, keep_score
from looksay.text.vocabulary import SPECIAL, Vocabulary

START, END, UNK, A, B, C = range(6)
VOCABULARY = Vocabulary((*SPECIAL, "alpha", "bravo", "charlie"))
Table = NDArray[np.float32]

seeds = st.integers(0, 10_000)
searches = st.sampled_from(
    [DecodingOptions(num_beams=1, max_length=6), DecodingOptions(num_beams=4, num_captions=3, max_length=6)]
)


@dataclass(frozen=True)
class ToyState:
    """The image and the token before the last one of each row."""

    image: NDArray[np.intp]
    before: Tokens

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Rows) -> Self:
        return type(self)(self.image[rows], self.before[rows])


def random_table(seed: int, images: int = 1) -> Table:
    """Return log-probabilities of a token after two others: (images, before, last, token)."""
    size = len(VOCABULARY)
    scores = np.random.default_rng(seed).normal(size=(images, size, size, size)) * 2
    table: Table = (scores - np.log(np.exp(scores).sum(-1, keepdims=True))).astype(np.float32)
    return table


def decode(
    table: Table, options: DecodingOptions, *processors: LogitsProcessor, rescore: Rescore = keep_score
) -> list[list[Hypothesis]]:
    def step(tokens: Tokens, state: ToyState) -> tuple[Any, ToyState]:
        return table[state.image, state.before, tokens].copy(), ToyState(state.image, tokens)

    state = ToyState(np.arange(len(table)), np.full(len(table), START))
    return decoding.decode(step, state, options, VOCABULARY, processors, rescore)


def decode_tokens(table: Table, options: DecodingOptions, *processors: LogitsProcessor) -> list[tuple[int, ...]]:
    captions = decode(table, options, *processors)
    return [hypothesis.tokens for hypotheses in captions for hypothesis in hypotheses]


def log_prob(table: Table, tokens: tuple[int, ...]) -> float:
    """Return the log-probability of a caption by the table of its image."""
    before, last, total = START, START, 0.0
    for token in (*tokens, END):
        total += float(table[before, last, token])
        before, last = last, token
    return total


def all_captions(max_length: int) -> list[tuple[int, ...]]:
    return [tokens for length in range(max_length + 1) for tokens in itertools.product((A, B, C), repeat=length)]


def ranked(table: Table, captions: list[tuple[int, ...]], length_penalty: float) -> list[tuple[int, ...]]:
    return sorted(captions, key=lambda tokens: -log_prob(table, tokens) / (len(tokens) + 1) ** length_penalty)
