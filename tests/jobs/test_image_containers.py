"""JPEG and PNG files: a packet is put where readers look for it, and no other byte of the file changes."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from image_files import (
    PNG_XMP,
    XMP_HEADER,
    before_pixels,
    chunk,
    described,
    exif,
    first,
    iptc,
    jpeg,
    multi_picture,
    png,
    segment,
)
from PIL import Image

from looksay.jobs import image_containers

PACKET = described("x" * 700)
XMP_SEGMENT = segment(0xE1, XMP_HEADER + PACKET)
XMP_CHUNK = chunk(b"iTXt", PNG_XMP + b"\0\0\0\0\0" + PACKET)
TABLES = exif({0x0112: 6})


def write(data: bytes) -> bytes:
    return image_containers.with_xmp(data, image_containers.read(data), PACKET)


def read_packet(data: bytes) -> bytes:
    return next(part.content for part in image_containers.read(data) if part.kind == "xmp")


def kinds(data: bytes) -> list[str]:
    return [part.kind for part in image_containers.read(data)]


@pytest.mark.parametrize(
    ("data", "before"),
    [
        (jpeg(), ["jfif"]),
        (jpeg(exif=TABLES), ["jfif", "exif"]),
        (jpeg(exif=TABLES, icc_profile=b"profile" * 50), ["jfif", "exif"]),
        (first(b"\xff\xd8" + jpeg()[20:], segment(0xE1, TABLES), iptc(b"mine")), ["exif"]),
        (first(b"\xff\xd8" + jpeg()[20:], iptc(b"mine"), segment(0xE1, TABLES)), ["photoshop", "exif"]),
        (b"\xff\xd8" + jpeg()[20:], []),
    ],
)
def test_exif_stays_the_first_app1_and_jfif_comes_first(data: bytes, before: list[str]) -> None:
    new = write(data)
    assert kinds(new)[: len(before) + 1] == [*before, "xmp"]
    assert new.replace(XMP_SEGMENT, b"") == data
    Image.open(io.BytesIO(new)).load()


@pytest.mark.parametrize("fill", [b"\xff", b"\xff\xff\xff", b"garbage"])
def test_fill_bytes_before_markers_are_kept(fill: bytes) -> None:
    data = first(jpeg(), fill)
    assert write(data).replace(XMP_SEGMENT, b"") == data
    data = first(jpeg(), fill, segment(0xE1, XMP_HEADER + described()), fill)
    assert write(data).replace(XMP_SEGMENT, b"") == data.replace(segment(0xE1, XMP_HEADER + described()), b"")


def index_entries(data: bytes) -> list[int]:
    """Return the places of the entries for images in the little-endian index of a multi-picture file (CIPA DC-007)."""
    base = data.index(b"MPF\0II") + 4
    length, place = struct.unpack_from("<II", data, data.index(b"\x02\xb0\7\0", base) + 4)
    return list(range(base + place, base + place + length, 16))


def images_of_index(data: bytes) -> list[bytes]:
    """Return the images that the index points to."""
    base, images = data.index(b"MPF\0") + 4, []
    for entry in index_entries(data):
        size, offset = struct.unpack_from("<II", data, entry + 4)
        begin = base + offset if offset else 0
        images.append(data[begin : begin + size])
    return images


def with_packet_after_index(data: bytes) -> bytes:
    """Insert a packet behind the index, which is corrected by hand."""
    old, changed = segment(0xE1, XMP_HEADER + described("x")), bytearray(data)
    first_entry, second_entry = index_entries(data)
    for place in (first_entry + 4, second_entry + 8):  # the size of the first image, the offset of the second one
        struct.pack_into("<I", changed, place, struct.unpack_from("<I", data, place)[0] + len(old))
    place = data.index(b"\xff\xdb")
    return bytes(changed[:place]) + old + bytes(changed[place:])


@pytest.mark.parametrize("data", [multi_picture(exif=TABLES), with_packet_after_index(multi_picture(exif=TABLES))])
def test_further_images_of_a_multi_picture_file_are_still_found(data: bytes) -> None:
    before, after = images_of_index(data), images_of_index(write(data))
    assert [image[:2] + image[-2:] for image in before + after] == [b"\xff\xd8\xff\xd9"] * 4
    assert after[1] == before[1]
    assert XMP_SEGMENT in after[0]
    assert b"".join(after) == write(data)


def test_data_after_the_end_is_kept() -> None:
    for data in (jpeg() + jpeg() + b"MotionPhoto_Data", png() + b"\0appended\0" + png()):
        assert write(data).endswith(data[-300:])
        assert len(write(data)) in (len(data) + len(XMP_SEGMENT), len(data) + len(XMP_CHUNK))


@pytest.mark.parametrize(
    "body",
    [
        PNG_XMP + b"\0\0\0\0\0" + described(),
        PNG_XMP + b"\0\1\0\0\0" + zlib.compress(described()),
        PNG_XMP + b"\0\0\0en\0XMP\0" + described(),
    ],
)
@pytest.mark.parametrize("is_after_pixels", [False, True])
def test_the_packet_of_a_png_is_found_and_replaced(body: bytes, is_after_pixels: bool) -> None:
    old = chunk(b"iTXt", body)
    data = png()[:-12] + old + png()[-12:] if is_after_pixels else before_pixels(png(), old)
    assert read_packet(data) == described()
    assert write(data) == data.replace(old, XMP_CHUNK)


def test_chunks_with_a_wrong_checksum_are_kept() -> None:
    wrong = chunk(b"tEXt", b"Author\0me")[:-1] + b"?"
    data = before_pixels(png(), wrong)
    assert write(data).replace(XMP_CHUNK, b"") == data


def test_a_png_without_its_end_is_written() -> None:
    assert write(png()[:-12]).replace(XMP_CHUNK, b"") == png()[:-12]
    assert write(png()[:-5]).replace(XMP_CHUNK, b"") == png()[:-5]


def test_a_packet_that_is_too_long_for_a_segment_is_refused() -> None:
    data = jpeg()
    with pytest.raises(ValueError, match="would not fit into a JPEG segment"):
        image_containers.with_xmp(data, image_containers.read(data), b" " * 65_600)


@pytest.mark.parametrize("data", [b"\xff\xd8", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xe1\0\4ab\0", png()[:10]])
def test_a_broken_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"it ends before its first scan|it has no segments or chunks"):
        write(data)
