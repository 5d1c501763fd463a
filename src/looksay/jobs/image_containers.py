"""JPEG and PNG files as lists of parts, and the same file with other metadata.

Sources: ITU T.81 annex B and CIPA DC-007 (Multi-Picture Format) for JPEG, the W3C specification of PNG, and part 3 of
the XMP specification, which says where each of them holds its packet.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"

# After any fill bytes; not the markers that have no segment. Other bytes between segments are skipped, as libjpeg does.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xda-\xfe])")
_APP0, _APP1, _APP2, _APP13, _START_OF_SCAN = 0xE0, 0xE1, 0xE2, 0xED, 0xDA
_JPEG_XMP, _PNG_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"XML:com.adobe.xmp"
_PHOTOSHOP = b"Photoshop 3.0\0"
_HEADERS = {
    "jfif": (_APP0, b""),
    "exif": (_APP1, b"Exif\0\0"),
    "xmp": (_APP1, _JPEG_XMP),
    "mpf": (_APP2, b"MPF\0"),
    "photoshop": (_APP13, _PHOTOSHOP),
}
_TEXTS = {_PNG_XMP: "xmp", b"Description": "text", b"Comment": "text"}
_MAX_SEGMENT = 0xFFFF - 2
_MAX_TEXT = 64 << 20  # bytes after decompression
_MP_ENTRY, _MP_ENTRY_SIZE = 0xB002, 16


class Part(NamedTuple):
    """A segment of a JPEG or a chunk of a PNG."""

    start: int
    end: int
    kind: str  # "jfif", "exif", "xmp", "mpf", "photoshop", "text", or "" for any other
    content: bytes  # without the header or keyword


def is_supported(image: Path) -> bool:
    """Return whether a file is a JPEG or PNG, by its first bytes."""
    try:
        with image.open("rb") as file:
            return file.read(len(_PNG)).startswith((_JPEG, _PNG))
    except (OSError, ValueError):  # ValueError: a null character in the name
        return False


def read(data: bytes) -> list[Part]:
    """Return the parts of a JPEG before its first scan, or of a PNG.

    Raises `ValueError`, `IndexError` or `zlib.error` if the file is broken.
    """
    parts = list(_jpeg_segments(data) if data.startswith(_JPEG) else _png_chunks(data))
    if not parts:
        raise ValueError("it has no segments or chunks")
    return parts


def with_xmp(data: bytes, parts: Sequence[Part], packet: bytes) -> bytes:
    """Return a file with a packet in place of its own one, or else where the specification wants it.

    Of all other bytes only the offsets and the size in a Multi-Picture index change. Raises `ValueError` if the packet
    is too long, and `LookupError` or `struct.error` if that index is broken.
    """
    is_jpeg = data.startswith(_JPEG)
    old = next((part for part in parts if part.kind == "xmp"), None)
    if old:
        start, end = old.start, old.end
    elif is_jpeg:  # readers expect JFIF first, and Exif as the first APP1
        start = end = max((part.end for part in parts if part.kind in ("jfif", "exif")), default=len(_JPEG))
    else:
        start = end = parts[0].end
    new = _jpeg_segment(_APP1, _JPEG_XMP + packet) if is_jpeg else _png_chunk(packet)
    return _replaced(data, parts, start, end, new)


def with_photoshop(data: bytes, part: Part, content: bytes) -> bytes:
    """Return a JPEG with another content of its Photoshop segment; see `with_xmp`."""
    return _replaced(data, read(data), part.start, part.end, _jpeg_segment(_APP13, _PHOTOSHOP + content))


def _replaced(data: bytes, parts: Sequence[Part], start: int, end: int, new: bytes) -> bytes:
    """Return a file with other bytes from start to end, and the offsets of a Multi-Picture index moved with them."""
    for part in parts:
        if part.kind == "mpf":
            data = _with_offsets(data, part, end, len(new) - (end - start))
    return data[:start] + new + data[end:]


def _jpeg_segments(data: bytes) -> Iterator[Part]:
    end = len(_JPEG)
    while match := _MARKER.search(data, end):
        start, marker = match.start(), match[1][0]
        if marker == _START_OF_SCAN:
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        body = data[start + 4 : end]
        kind, header = next(
            ((kind, header) for kind, (app, header) in _HEADERS.items() if app == marker and body.startswith(header)),
            ("", b""),
        )
        yield Part(start, end, kind, body[len(header) :])
    raise ValueError("it ends before its first scan")


def _jpeg_segment(app: int, body: bytes) -> bytes:
    if len(body) > _MAX_SEGMENT:
        raise ValueError("its metadata would not fit into a JPEG segment")
    return struct.pack(">BBH", 0xFF, app, len(body) + 2) + body


def _with_offsets(data: bytes, mpf: Part, end: int, growth: int) -> bytes:
    """Return a JPEG whose index of further images is right when the bytes from `end` on move by `growth`.

    Offsets count from the TIFF header in the MPF segment; that of the first image, which holds the segment, is 0.
    """
    base = mpf.end - len(mpf.content)
    new_base = base + (growth if base >= end else 0)
    order = {b"II": "<", b"MM": ">"}[data[base : base + 2]]
    changed = bytearray(data)
    (directory,) = struct.unpack_from(f"{order}4xI", data, base)
    (count,) = struct.unpack_from(f"{order}H", data, base + directory)
    for field in range(count):
        tag, _, length, place = struct.unpack_from(f"{order}HHII", data, base + directory + 2 + 12 * field)
        if tag != _MP_ENTRY:
            continue
        for entry in range(base + place, base + place + length, _MP_ENTRY_SIZE):
            size, offset = struct.unpack_from(f"{order}4xII", data, entry)
            if offset:
                moved = growth if base + offset >= end else 0
                struct.pack_into(f"{order}I", changed, entry + 8, base + offset + moved - new_base)
            else:
                struct.pack_into(f"{order}I", changed, entry + 4, size + growth)
    return bytes(changed)


def _png_chunks(data: bytes) -> Iterator[Part]:
    start = len(_PNG)
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        body, end = data[start + 8 : start + 8 + length], start + 12 + length
        keyword, _, text = body.partition(b"\0")
        if kind == b"eXIf":
            yield Part(start, end, "exif", body)
        elif kind in (b"tEXt", b"zTXt", b"iTXt") and keyword in _TEXTS:
            yield Part(start, end, _TEXTS[keyword], _png_text(kind, text))
        else:
            yield Part(start, end, "", body)
        if kind == b"IEND":  # what follows is not part of the PNG
            return
        start = end


def _png_text(kind: bytes, text: bytes) -> bytes:
    is_compressed = kind == b"zTXt" or (kind == b"iTXt" and text[0] == 1)
    if kind == b"zTXt":
        text = text[1:]  # the method
    if kind == b"iTXt":
        text = text[2:].split(b"\0", 2)[2]  # flag, method, language, translated keyword
    return zlib.decompressobj().decompress(text, _MAX_TEXT) if is_compressed else text


def _png_chunk(packet: bytes) -> bytes:
    body = b"iTXt" + _PNG_XMP + b"\0" * 5 + packet
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
