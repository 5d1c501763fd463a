"""Images of every kind become the same input; broken ones are an error that names them."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageFile

from looksay import ImageError, images
from looksay.types import ImageSpec

ORANGE = (230, 120, 40)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def close(image: Image.Image, colour: tuple[int, int, int], tolerance: int = 6) -> bool:
    return bool(np.abs(np.asarray(image).reshape(-1, 3).mean(axis=0) - colour).max() <= tolerance)


@pytest.mark.parametrize("form", ["path", "string", "bytes", "bytearray", "memoryview", "file", "PIL", "array"])
def test_every_form_of_an_image_gives_the_same_input(form: str) -> None:
    path = EXAMPLES / "astronaut.jpg"
    forms: dict[str, Callable[[], Any]] = {
        "path": lambda: path,
        "string": lambda: str(path),
        "bytes": path.read_bytes,
        "bytearray": lambda: bytearray(path.read_bytes()),
        "memoryview": lambda: memoryview(path.read_bytes()),
        "file": lambda: io.BytesIO(path.read_bytes()),
        "PIL": lambda: Image.open(io.BytesIO(path.read_bytes())),
        "array": lambda: np.asarray(images.read(path)),
    }
    expected = images.prepare(path, ImageSpec())
    assert expected.shape == (3, 224, 224)
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(images.prepare(forms[form](), ImageSpec()), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (8, 8), (200, 200, 200))
    image = image.convert("LA").convert("PA") if mode == "PA" else image.convert(mode)
    read = images.read(image)
    assert read.mode == "RGB"
    assert mode == "1" or close(read, (200, 200, 200))


def test_sixteen_bit_images_are_not_washed_out() -> None:
    grey = np.full((8, 8), 0x8000, dtype=np.uint16)
    assert close(images.read(encoded(Image.fromarray(grey), "PNG")), (128, 128, 128), 1)
    assert close(images.read(encoded(Image.fromarray(grey), "TIFF")), (128, 128, 128), 1)
    dark = Image.fromarray(np.full((8, 8), 200, dtype=np.uint16))
    assert close(images.read(encoded(dark, "PNG")), (1, 1, 1), 1)
    assert close(images.read(grey), (128, 128, 128), 1)
    assert close(images.read(np.full((8, 8), 0.5)), (128, 128, 128), 1)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64", "uint64"])
def test_integer_arrays_from_0_to_255_are_taken(dtype: str) -> None:
    pixels = np.tile(np.array(ORANGE), (8, 8, 1)).astype(dtype)
    assert close(images.read(pixels), ORANGE, 0)


def test_floating_point_arrays_are_from_0_to_1() -> None:
    pixels = np.tile(np.array(ORANGE), (8, 8, 1)) / 255
    assert close(images.read(pixels), ORANGE, 0)
    assert close(images.read(pixels.astype(np.float16)), ORANGE, 1)
    assert images.read(np.full((8, 8), 1 + 1e-6)).getpixel((0, 0)) == (255, 255, 255)  # after resampling


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((8, 8, 3), 200, np.float32), "200 to 200 are out of range: float32 must be from 0 to 1"),
        (np.full((8, 8, 3), -1.0), "-1 to -1 are out of range: float64 must be from 0 to 1"),
        (np.full((8, 8, 3), 256), "256 to 256 are out of range: int64 must be from 0 to 255"),
        (np.full((8, 8, 3), -1), "-1 to -1 are out of range: int64 must be from 0 to 255"),
    ],
)
def test_arrays_out_of_range_are_refused_with_the_range(pixels: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        images.read(pixels)


def test_other_objects_are_refused_in_plain_words() -> None:
    with pytest.raises(ImageError, match=r"^None is not an image: pass a path, bytes, a binary file, a PIL image or a"):
        images.read(None)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="an object of type list is not an image"):
        images.read([])  # type: ignore[arg-type]
    with pytest.raises(
        ImageError, match=r"^https://example\.org/a\.jpg is a URL: download the image, and pass its path"
    ):
        images.read("https://example.org/a.jpg")
    with pytest.raises(ImageError, match="is open in text mode: open it with mode 'rb'"):
        images.read(io.StringIO("image"))  # type: ignore[arg-type]


def test_iterables_of_images_are_batches_and_images_are_not() -> None:
    batches: list[Any] = [[], (), iter("ab"), {"a.jpg"}, {"a.jpg": 1}.keys()]
    assert all(images.is_batch(batch) for batch in batches)
    image = Image.new("RGB", (8, 8))
    ones: tuple[Any, ...] = (
        "a.jpg",
        b"",
        bytearray(),
        memoryview(b""),
        Path("a.jpg"),
        io.BytesIO(),
        image,
        np.zeros((8, 8)),
        {},
        None,
    )
    assert not any(images.is_batch(one) for one in ones)


def test_floating_point_image_files_may_overshoot_a_little() -> None:
    for peak, value, expected in ((1.0001, 0.5, 128), (1.0001, np.nan, 0), (256.0, 128.0, 128), (65535.0, 0x8000, 128)):
        pixels = np.full((8, 8), value, dtype=np.float32)
        pixels[0, 0] = peak
        assert np.asarray(images.read(Image.fromarray(pixels)))[4, 4, 0] == expected
    assert images.read(np.full((8, 8), np.nan)).getpixel((0, 0)) == (0, 0, 0)


def test_formats_whose_readers_start_another_program_are_refused() -> None:
    with pytest.raises(ImageError, match="not an image in a format that looksay reads"):
        images.read(encoded(Image.new("RGB", (8, 8)), "EPS"))


def test_cmyk_jpeg_and_palette_with_transparency() -> None:
    assert close(images.read(encoded(Image.new("RGB", (16, 16), ORANGE).convert("CMYK"), "JPEG")), ORANGE)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *ORANGE])
    assert close(images.read(encoded(palette, "PNG", transparency=0)), ORANGE, 1)


def test_transparent_pixels_become_white() -> None:
    assert close(images.read(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG")), (255, 255, 255), 0)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (3, 5_000)])
def test_images_of_any_shape_are_read(size: tuple[int, int]) -> None:
    assert close(images.read(encoded(Image.new("RGB", size, ORANGE), "PNG")), ORANGE)
    assert images.prepare(encoded(Image.new("RGB", size, ORANGE), "PNG"), ImageSpec(size=32)).shape == (3, 32, 32)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_read(form: str) -> None:
    memory = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), colour) for colour in (ORANGE, (0, 0, 255))]
    frames[0].save(
        memory, form, save_all=True, append_images=frames[1:], **({"lossless": True} if form == "WEBP" else {})
    )
    assert close(images.read(memory.getvalue()), ORANGE)


def test_colour_profiles_are_ignored() -> None:
    """As for the training images; a broken profile does not matter."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for data in (profile, b"no profile"):
        memory = io.BytesIO()
        Image.new("RGB", (16, 16), ORANGE).save(memory, "PNG", icc_profile=data)
        assert close(images.read(memory.getvalue()), ORANGE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.asarray(images.read(EXAMPLES / "boats.jpg").resize((64, 48)))
    turn: dict[int, Callable[[Any], Any]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: np.rot90,
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turn[orientation](upright)))
    np.testing.assert_array_equal(np.asarray(images.read(encoded(stored, "PNG", exif=exif))), upright)


def test_squash_keeps_the_whole_image_and_crop_its_aspect_ratio() -> None:
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 255
    squashed = images.resize(Image.fromarray(wide), ImageSpec(size=30, resize="squash", interpolation="bilinear"))
    cropped = images.resize(Image.fromarray(wide), ImageSpec(size=30, resize="crop", interpolation="bilinear"))
    assert squashed.shape == cropped.shape == (30, 30, 3)
    assert squashed[:, 0].max() == 0
    assert squashed[:, 15].min() == 255
    assert cropped[:, 2:-2].min() == 255


@given(st.integers(0, 255), st.sampled_from([(0.5, 0.5, 0.5), (0.485, 0.456, 0.406)]))
def test_normalising_is_the_formula_of_the_spec(value: int, mean: tuple[float, float, float]) -> None:
    std = (0.229, 0.224, 0.225)
    pixels = np.full((2, 4, 4, 3), value, dtype=np.uint8)
    got = images.normalise(pixels, ImageSpec(size=4, mean=mean, std=std))
    assert got.shape == (2, 3, 4, 4)
    expected = (value / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(got[1, :, 2, 3], expected, atol=1e-5)


def test_channels_have_the_order_of_the_spec() -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    assert images.resize(red, ImageSpec(size=4, channels="bgr"))[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_at_a_smaller_size_with_nearly_the_same_result(orientation: int) -> None:
    with Image.open(EXAMPLES / "boats.jpg") as photo:
        large, exif = photo.resize((2668, 2000)), photo.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    large.save(file, "JPEG", quality=90, exif=exif)
    spec = ImageSpec(size=240)
    whole, small = images.read(file.getvalue()), images.read(file.getvalue(), least=spec.size)
    assert sorted(small.size) == [1000, 1334]  # a half; a quarter would leave 500, less than three times 240
    assert (whole.width > whole.height) == (small.width > small.height)
    differences = np.abs(images.resize(whole, spec).astype(int) - images.resize(small, spec))
    assert differences.mean() < 0.5
    np.testing.assert_array_equal(
        images.prepare(file.getvalue(), spec), images.normalise(images.resize(small, spec), spec)
    )


def test_errors_name_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("no image", encoding="utf-8")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((EXAMPLES / "alps.jpg").read_bytes()[:5000])
    for path, problem in (
        (tmp_path / "none.jpg", "there is no such file"),
        (tmp_path, "this is a folder"),
        (text, "not an image"),
        (cut, "truncated"),
    ):
        with pytest.raises(ImageError, match=problem) as caught:
            images.read(path)
        assert str(path) in str(caught.value)
    for array in (
        np.zeros((0, 5, 3)),
        np.zeros((2, 2, 5), dtype=np.uint8),
        np.zeros(3, dtype=np.uint8),
        np.zeros((2, 2), dtype=bool),
        np.full((2, 2), "dog"),
    ):
        with pytest.raises(ImageError, match="array of shape"):
            images.read(array)


def chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)
    )


@pytest.mark.parametrize("ancillary", [
    chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2_000_000))),
    chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
    chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(1_200_000), 0)),
    chunk(b"tEXt", b"a\0bcd", crc=0),
    chunk(b"eXIf", b"not exif"),
    chunk(b"iCCP", b"no name"),
    b"".join(chunk(b"tEXt", b"frame\0" + bytes(900_000)) for _ in range(80)),
], ids=[
    "large text", "large international text", "large profile", "wrong CRC", "broken EXIF", "broken profile",
    "many texts",
])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_what_stands_beside_the_pixels_keeps_no_png_from_being_read(ancillary: bytes) -> None:
    with Image.open(EXAMPLES / "boats.jpg") as photo:
        png = encoded(photo, "PNG")
    first, end = png.index(b"IDAT") - 4, len(png) - 12
    plain = encoded(Image.new("RGB", (64, 64), ORANGE), "PNG")  # a screenshot may be of one colour
    assert images.read(plain[:33] + ancillary + plain[33:-12]).getpixel((9, 9)) == ORANGE
    for place in (first, end):
        pixels = np.asarray(images.read(png[:place] + ancillary + png[place:]))
        np.testing.assert_array_equal(pixels, np.asarray(images.read(png)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_file_without_its_end_is_read_and_a_stump_is_refused(kind: str) -> None:
    with Image.open(EXAMPLES / "boats.jpg") as photo:
        data = encoded(photo, kind)
    whole = np.asarray(images.read(data)).astype(int)
    for missing in (2, 12):
        assert np.abs(np.asarray(images.read(data[:-missing])) - whole).mean() < 1
    with pytest.raises(ImageError, match=r"truncated|not an image"):
        images.read(data[:700])
    if kind in ("JPEG", "PNG"):  # without what decoders fill the rest with
        part = np.asarray(images.read(data[: len(data) * 3 // 4])).astype(int)
        assert len(whole) // 2 < len(part) < len(whole)
        assert np.abs(part[:-16] - whole[: len(part) - 16]).mean() < 1
    assert not ImageFile.LOAD_TRUNCATED_IMAGES  # other users of Pillow in the process keep its checks


@pytest.mark.parametrize("kind", ["WEBP", "JPEG", "PNG", "JPEG2000"])
def test_a_truncated_file_is_named_in_looksays_words(kind: str) -> None:
    """Pillow's words for WebP, "could not create decoder object", help nobody."""
    with Image.open(EXAMPLES / "boats.jpg") as photo:
        data = encoded(photo, kind)
    with pytest.raises(ImageError, match="the file is truncated or damaged: copy or download it again"):
        images.read(data[: len(data) // 5])


def test_stumps_are_refused_while_another_thread_reads_truncated_files() -> None:
    with Image.open(EXAMPLES / "boats.jpg") as photo:
        data = encoded(photo, "JPEG")
    files = [data[: len(data) * 9 // 10], data[:2000]] * 40

    def is_read(file: bytes) -> bool:
        try:
            images.read(file)
        except ImageError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(is_read, files)) == [True, False] * 40


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"\n<!DOCTYPE html><title>404</title>", "a web page")])
def test_an_empty_file_and_a_saved_web_page_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=rf"{reason}.*not an image.*download"):
        images.read(data)


def test_heic_is_read_with_the_extra_and_named_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    memory = io.BytesIO()
    with Image.open(EXAMPLES / "boats.jpg") as photo:
        pillow_heif.from_pillow(photo).save(memory)
        pixels = np.asarray(photo.convert("RGB")).astype(int)
    assert np.abs(np.asarray(images.read(memory.getvalue())) - pixels).mean() < 4
    images._register_heif.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=re.escape('pip install "looksay[heic]"')):
        images.read(memory.getvalue())


def test_a_file_that_cannot_be_rewound_is_read() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        stream.write(encoded(Image.new("RGB", (20, 10), ORANGE), "PNG"))
    with os.fdopen(reader, "rb") as stream:
        assert images.read(stream).size == (20, 10)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = encoded(Image.new("1", (10_000, 10_000)), "PNG")
    assert len(header) < 100_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError, match="10000 × 10000 pixels"):
            images.read(header)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3000), st.integers(0, 255))
def test_broken_bytes_give_an_image_error_or_an_image(junk: bytes, place: int, value: int) -> None:
    good = bytearray((EXAMPLES / "alps.jpg").read_bytes()[:20_000])
    good[place] = value
    for data in (junk, bytes(good) + junk):
        try:
            assert images.read(data).mode == "RGB"
        except ImageError as error:
            assert str(error).startswith("<bytes>")
