"""Tokens are those of coco-caption, so that scores can be compared with those of papers."""

from __future__ import annotations

import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay.text.tokenizer import join, tokenize

GOLDEN = json.loads((Path(__file__).parent.parent / "metrics" / "golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("text", "words"), GOLDEN["tokens"])
def test_tokens_are_those_of_the_java_tokenizer(text: str, words: str) -> None:
    assert " ".join(tokenize(text)) == words


def test_joined_tokens_are_plain_text() -> None:
    assert join("two dogs do n't mind the boy 's ball -lrb- red -rrb-".split()) == (
        "two dogs don't mind the boy's ball ( red )"
    )
    assert join([]) == ""


@given(st.lists(st.sampled_from("a dog 's n't t-shirt 're 2 white man o'clock -lrb- u.s. & #".split())))
def test_joined_tokens_are_split_into_the_same_tokens(words: list[str]) -> None:
    assert tokenize(join(words)) == words


@given(st.text())
def test_tokens_of_any_text_are_lower_case_words_without_spaces(text: str) -> None:
    words = tokenize(text)
    assert all(word and word == word.lower() and not any(c.isspace() for c in word) for word in words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("一只棕色的狗在草地上奔跑。", "一 只 棕 色 的 狗 在 草 地 上 奔 跑"),
        ("एक कुत्ता घास पर दौड़ रहा है।", "एक कुत्ता घास पर दौड़ रहा है"),
        ("كلبٌ بُنّيٌّ يركض على العشب، أليس كذلك؟", "كلبٌ بُنّيٌّ يركض على العشب أليس كذلك"),
        ("Пёс бежит по траве.", "пёс бежит по траве"),
        ("un cafe\N{COMBINING ACUTE ACCENT}, l'été", "un café l'été"),
        ("2只狗 run", "2 只 狗 run"),
        ("a dog ❤️ a 😀cat", "a dog ❤ a cat"),
    ],
)
def test_every_script_is_tokenized(text: str, words: str) -> None:
    tokens = tokenize(text)
    assert tokens == unicodedata.normalize("NFC", words).split()
    assert tokenize(join(tokens)) == tokens


def test_chinese_is_joined_without_spaces() -> None:
    assert join(tokenize("一只狗。")) == "一只狗"


@pytest.mark.parametrize(
    "piece", ["a,", "a.", "a-", "a'", "1.", "1,", "a@", "w.w", "(a", "ab/", "é.", "a\u0301", "狗", "n't", "_a", "<a"]
)
def test_a_long_text_without_spaces_takes_linear_time(piece: str) -> None:
    start = time.perf_counter()
    tokenize(piece * 20_000)
    assert time.perf_counter() - start < 5
