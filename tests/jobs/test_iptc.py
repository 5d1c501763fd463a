"""IPTC keywords are added to those of a JPEG, and everything else stays as it is."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looksay.jobs import iptc


def data_set(record: int, number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def resource(number: int, data: bytes, name: bytes = b"") -> bytes:
    named = bytes([len(name)]) + name
    padded = named + b"\0" * (len(named) % 2)
    return b"8BIM" + struct.pack(">H", number) + padded + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


UTF8 = data_set(1, 90, b"\x1b%G")
CAPTION = data_set(2, 120, b"mine")
PATH = resource(0x07D0, b"\1\2\3", b"Path")


def keyword(word: str) -> bytes:
    return data_set(2, 25, word.encode())


def test_keywords_follow_the_data_that_are_there() -> None:
    before = PATH + resource(0x0404, CAPTION + keyword("Holiday")) + resource(0x03ED, b"\0" * 16)
    after = PATH + resource(0x0404, CAPTION + keyword("Holiday") + keyword("dog")) + resource(0x03ED, b"\0" * 16)
    assert iptc.with_keywords(before, ["holiday", "dog", "dog"]) == after
    assert iptc.with_keywords(after, ["dog", "holiday"]) == after


def test_a_photo_without_iptc_gets_none() -> None:
    assert iptc.with_keywords(PATH, ["dog"]) == PATH
    assert iptc.with_keywords(b"", ["dog"]) == b""


def test_the_digest_is_that_of_the_new_data() -> None:
    stale = resource(0x0425, hashlib.md5(CAPTION, usedforsecurity=False).digest())
    fresh = resource(0x0425, hashlib.md5(CAPTION + keyword("dog"), usedforsecurity=False).digest())
    assert iptc.with_keywords(resource(0x0404, CAPTION) + stale, ["dog"]).endswith(fresh)


def test_words_are_written_in_the_character_set_of_the_data() -> None:
    assert data_set(2, 25, "café".encode("latin-1")) in iptc.with_keywords(resource(0x0404, CAPTION), ["café"])
    assert keyword("café") in iptc.with_keywords(resource(0x0404, UTF8 + CAPTION), ["café"])
    assert iptc.with_keywords(resource(0x0404, CAPTION), ["犬", "x" * 65]) == resource(0x0404, CAPTION)


def test_zero_bytes_after_the_data_are_no_data() -> None:
    padded = resource(0x0404, CAPTION + b"\0\0")
    assert iptc.with_keywords(padded, ["dog"]) == resource(0x0404, CAPTION + keyword("dog"))


@pytest.mark.parametrize(
    "broken",
    [resource(0x0404, CAPTION)[:-3], resource(0x0404, CAPTION[:-1]), resource(0x0404, CAPTION + b"no data set"),
     resource(0x0404, b"\x1c\x02\x78\x80\x04\0\0\0\1x"), b"8BIM"],
)  # fmt: skip
def test_broken_data_are_refused(broken: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        iptc.with_keywords(broken, ["dog"])


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=64), unique_by=str.lower))
def test_adding_words_one_by_one_or_together_is_the_same(words: list[str]) -> None:
    start = resource(0x0404, UTF8 + CAPTION) + PATH
    one_by_one = start
    for word in words:
        one_by_one = iptc.with_keywords(one_by_one, [word])
    assert one_by_one == iptc.with_keywords(start, words)
