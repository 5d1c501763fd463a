"""A person's caption is found wherever photo managers write it; what cameras fill in is none."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from image_files import (
    MINE,
    PNG_XMP,
    XMP_HEADER,
    before_pixels,
    chunk,
    described,
    exif,
    first,
    iptc,
    jpeg,
    png,
    segment,
)
from PIL import Image

from looksay.jobs import existing_captions, image_containers

UTF16 = f"{MINE}\0".encode("utf-16-le")


def user_comment(value: bytes) -> bytes:
    tables = Image.Exif()
    tables.get_ifd(0x8769)[0x9286] = value
    return tables.tobytes()


def other_format(name: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, name, **options)
    return file.getvalue()


HELD = {
    "IPTC": first(jpeg(), iptc(MINE.encode())),
    "IPTC in UTF-8": first(jpeg(), iptc(f"é {MINE}".encode(), utf8=True)),
    "IPTC in Latin-1, after Exif": first(jpeg(), segment(0xE1, exif({0x0112: 1})), iptc(f"é {MINE}".encode("latin-1"))),
    "ImageDescription": jpeg(exif=exif({0x010E: MINE})),
    "XPTitle": jpeg(exif=exif({0x9C9B: UTF16})),
    "XPComment": jpeg(exif=exif({0x9C9C: UTF16})),
    "UserComment": jpeg(exif=user_comment(b"ASCII\0\0\0" + MINE.encode())),
    "UserComment in UTF-16": jpeg(exif=user_comment(b"UNICODE\0" + UTF16)),
    "XMP": first(jpeg(), segment(0xE1, XMP_HEADER + described())),
    "PNG, Description": before_pixels(png(), chunk(b"tEXt", b"Description\0" + MINE.encode())),
    "PNG, Comment": before_pixels(png(), chunk(b"tEXt", b"Comment\0" + MINE.encode())),
    "PNG, compressed": before_pixels(png(), chunk(b"zTXt", b"Description\0\0" + zlib.compress(MINE.encode()))),
    "PNG, international": before_pixels(png(), chunk(b"iTXt", b"Description\0\0\0\0\0" + MINE.encode())),
    "PNG, after the pixels": png()[:-12] + chunk(b"tEXt", b"Description\0" + MINE.encode()) + png()[-12:],
    "PNG, Exif": png(exif=exif({0x010E: MINE})),
    "PNG, Exif after the pixels": png()[:-12] + chunk(b"eXIf", exif({0x010E: MINE})[6:]) + png()[-12:],
    "PNG, XMP": before_pixels(png(), chunk(b"iTXt", PNG_XMP + b"\0\1\0\0\0" + zlib.compress(described()))),
    "WebP, XMP": other_format("WEBP", xmp=described()),
    "WebP, Exif": other_format("WEBP", exif=exif({0x010E: MINE})),
    "TIFF": other_format("TIFF", description=MINE),
}
EMPTY = {
    "nothing": jpeg(),
    "camera": jpeg(exif=exif({0x010E: "OLYMPUS DIGITAL CAMERA         "})),
    "blank": jpeg(exif=exif({0x010E: "   ", 0x9C9C: b" \0 \0\0\0"})),
    "blank UserComment": jpeg(exif=user_comment(b"ASCII\0\0\0" + b" " * 100)),
    "UserComment of zeros": jpeg(exif=user_comment(b"\0" * 100)),
    "blank IPTC": first(jpeg(), iptc(b" ")),
    "camera in XMP": first(jpeg(), segment(0xE1, XMP_HEADER + described("SONY DSC"))),
    "GIMP": before_pixels(png(), chunk(b"tEXt", b"Comment\0Created with GIMP")),
    "other PNG texts": before_pixels(png(), chunk(b"tEXt", b"Software\0mine"), chunk(b"tEXt", b"Author\0me")),
    "broken Exif": first(jpeg(), segment(0xE1, b"Exif\0\0broken")),
    "JPEG comment of an encoder": first(jpeg(), segment(0xFE, b"CREATOR: gd-jpeg v1.0")),
}


def find(data: bytes, tmp_path: Path) -> list[str]:
    image = tmp_path / "image"
    image.write_bytes(data)
    return existing_captions.find(image, image_containers.read(data) if image_containers.is_supported(image) else [])


@pytest.mark.parametrize("data", HELD.values(), ids=HELD)
def test_a_caption_is_found(data: bytes, tmp_path: Path) -> None:
    assert [text for text in find(data, tmp_path) if MINE in text]


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY)
def test_blank_texts_and_what_cameras_fill_in_are_no_captions(data: bytes, tmp_path: Path) -> None:
    assert not find(data, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "SAMSUNG DIGITAL CAMERA", "KODAK DIGITAL STILL CAMERA", "MINOLTA DIGITAL CAMERA", "SAMSUNG",
        "<Digimax S600 / Kenox S600 / Digimax Cyber 630>", "DCIM\\100MEDIA\\DJI_0001.JPG", "oplus_1048608", "hdrpl",
        "Exif_JPEG_PICTURE",
        '{"shape": [3, 4]}', '<?xml version="1.0"?><OME/>', "ImageJ=1.53\nunit=micron", "charset=Ascii", "Screenshot",
    ],
)  # fmt: skip
def test_defaults(text: str) -> None:
    assert not existing_captions.is_caption(text)


@pytest.mark.parametrize("text", ["My digital camera", "Samsung store", "{sic} the sea", "a", "日", "Nor any drop"])
def test_captions(text: str) -> None:
    assert existing_captions.is_caption(text)
