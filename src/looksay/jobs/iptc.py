"""IPTC keywords in a JPEG's Photoshop segment, as photo managers wrote them before XMP.

Sources: IPTC-NAA Information Interchange Model 4.2 for the data sets, Adobe's Photoshop File Formats Specification for
the resources that hold them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

_SIGNATURE = b"8BIM"
_IPTC, _DIGEST = 0x0404, 0x0425
_MARKER, _CHARSET, _KEYWORDS = 0x1C, (1, 90), (2, 25)
_UTF8 = b"\x1b%G"
_MAX_KEYWORD = 64  # bytes
_EXTENDED = 0x8000  # a flag of lengths that have more bytes


class _Resource(NamedTuple):
    """A Photoshop image resource and its place."""

    id: int
    data: bytes
    start: int  # of the length before the data
    end: int  # after the data, without the byte that makes their number even


def with_keywords(segment: bytes, words: Iterable[str]) -> bytes:
    """Return a Photoshop segment with more IPTC keywords; the same one if it has no IPTC data.

    Keywords that it has, in small or capital letters, are not added again; nor those that are too long for IPTC or
    that its character set lacks. The digest by which readers see whether XMP is older than IPTC is brought up to date.
    Raises `ValueError` or `struct.error` if the segment is broken.
    """
    resources = list(_resources(segment))
    iptc = next((one for one in resources if one.id == _IPTC), None)
    if not iptc:
        return segment
    sets = list(_data_sets(iptc.data))
    encoding = "utf-8" if any(key == _CHARSET and value == _UTF8 for key, value in sets) else "latin-1"
    known = {value.decode(encoding, "replace").casefold() for key, value in sets if key == _KEYWORDS}
    new = b"".join(_keyword_sets(words, known, encoding))
    if not new:
        return segment
    data = iptc.data[: sum(5 + len(value) for _, value in sets)] + new
    changed = {_IPTC: data, _DIGEST: hashlib.md5(data, usedforsecurity=False).digest()}
    for one in sorted(resources, key=lambda one: one.start, reverse=True):
        if one.id in changed:
            value = changed[one.id]
            padded = one.end + len(one.data) % 2
            length = struct.pack(">I", len(value))
            segment = segment[: one.start] + length + value + b"\0" * (len(value) % 2) + segment[padded:]
    return segment


def _keyword_sets(words: Iterable[str], known: Container[str], encoding: str) -> Iterator[bytes]:
    for word in dict.fromkeys(words):
        try:
            value = word.encode(encoding)
        except UnicodeEncodeError:
            continue
        if word.casefold() not in known and len(value) <= _MAX_KEYWORD:
            yield struct.pack(">BBBH", _MARKER, *_KEYWORDS, len(value)) + value


def _resources(segment: bytes) -> Iterator[_Resource]:
    """Yield the resources of a segment: signature, number, a name of even length, and data of even length."""
    start = 0
    while segment.startswith(_SIGNATURE, start):
        number, name_length = struct.unpack_from(">HB", segment, start + 4)
        place = start + 6 + (1 + name_length + 1) // 2 * 2
        (length,) = struct.unpack_from(">I", segment, place)
        end = place + 4 + length
        if end > len(segment):
            raise ValueError("its Photoshop segment is cut short")
        yield _Resource(number, segment[place + 4 : end], place, end)
        start = end + length % 2


def _data_sets(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the data sets of IPTC data, by record and number; zero bytes may follow the last one."""
    start = 0
    while start + 5 <= len(data) and data[start] == _MARKER:
        record, number, length = struct.unpack_from(">BBH", data, start + 1)
        if length & _EXTENDED:
            raise ValueError("its IPTC data are extended")
        start += 5 + length
        if start > len(data):
            raise ValueError("its IPTC data are cut short")
        yield (record, number), data[start - length : start]
    if data[start:].strip(b"\0"):
        raise ValueError("its IPTC data are broken")
