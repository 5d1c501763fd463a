"""Who captions an archive has images of every kind, some of them broken."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from looksay import ImageError, images
from looksay.types import ImageSpec

ORANGE = (230, 120, 40)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def close(image: Image.Image, colour: tuple[int, int, int], tolerance: int = 6) -> bool:
    return bool(np.abs(np.asarray(image).reshape(-1, 3).mean(axis=0) - colour).max() <= tolerance)


@pytest.mark.parametrize("form", ["path", "string", "bytes", "file", "PIL", "array"])
def test_every_form_of_a_image_gives_the_same_input(form: str) -> None:
    path = EXAMPLES / "astronaut.jpg"
    forms: dict[str, Callable[[], Any]] = {
        "path": lambda: path,
        "string": lambda: str(path),
        "bytes": path.read_bytes,
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


def test_floating_point_images_may_overshoot_a_little() -> None:
    for peak, value, expected in ((1.0001, 0.5, 128), (1.0001, np.nan, 0), (256.0, 128.0, 128), (65535.0, 0x8000, 128)):
        pixels = np.full((8, 8), value, dtype=np.float32)
        pixels[0, 0] = peak
        assert np.asarray(images.read(Image.fromarray(pixels)))[4, 4, 0] == expected
    assert images.read(np.full((8, 8), np.nan)).getpixel((0, 0)) == (0, 0, 0)


def test_a_reader_that_starts_another_program_is_not_tried() -> None:
    with pytest.raises(ImageError, match="not an image in a format that looksay reads"):
        images.read(encoded(Image.new("RGB", (8, 8)), "EPS"))


def test_cmyk_jpeg_and_palette_with_transparency() -> None:
    assert close(images.read(encoded(Image.new("RGB", (16, 16), ORANGE).convert("CMYK"), "JPEG")), ORANGE)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *ORANGE])
    assert close(images.read(encoded(palette, "PNG", transparency=0)), ORANGE, 1)


def test_what_is_transparent_is_white_not_black() -> None:
    assert close(images.read(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "PNG")), (255, 255, 255), 0)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (3, 5_000)])
def test_images_of_any_shape_are_read(size: tuple[int, int]) -> None:
    assert close(images.read(encoded(Image.new("RGB", size, ORANGE), "PNG")), ORANGE)
    assert images.prepare(encoded(Image.new("RGB", size, ORANGE), "PNG"), ImageSpec(size=32)).shape == (3, 32, 32)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animated_image_the_first_frame_is_read(form: str) -> None:
    memory = io.BytesIO()
    frames = [Image.new("RGB", (16, 16), colour) for colour in (ORANGE, (0, 0, 255))]
    frames[0].save(
        memory, form, save_all=True, append_images=frames[1:], **({"lossless": True} if form == "WEBP" else {})
    )
    assert close(images.read(memory.getvalue()), ORANGE)


def test_a_colour_profile_changes_no_image() -> None:
    """Profiles are passed over, as in the training images; a broken one is no reason to refuse an image."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for told in (profile, b"no profile"):
        memory = io.BytesIO()
        Image.new("RGB", (16, 16), ORANGE).save(memory, "PNG", icc_profile=told)
        assert close(images.read(memory.getvalue()), ORANGE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int) -> None:
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


def test_squash_keeps_the_whole_image_and_crop_its_shape() -> None:
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


def test_channel_order_is_the_specs() -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    assert images.resize(red, ImageSpec(size=4, channels="bgr"))[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_no_larger_than_needed_and_looks_the_same(orientation: int) -> None:
    with Image.open(EXAMPLES / "boats.jpg") as photo:
        large, exif = photo.resize((2668, 2000)), photo.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    large.save(file, "JPEG", quality=90, exif=exif)
    spec = ImageSpec(size=240)
    whole, small = images.read(file.getvalue()), images.read(file.getvalue(), least=spec.size)
    assert sorted(small.size) == [500, 667]  # a quarter; an eighth would leave 250
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
        np.zeros((2, 2), dtype=np.int64),
    ):
        with pytest.raises(ImageError, match="array of shape"):
            images.read(array)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = encoded(Image.new("1", (10_000, 10_000)), "PNG")
    assert len(header) < 100_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError, match="10000 × 10000 pixels"):
            images.read(header)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3000), st.integers(0, 255))
def test_broken_bytes_give_an_image_error_or_a_image_never_a_crash(junk: bytes, place: int, value: int) -> None:
    good = bytearray((EXAMPLES / "alps.jpg").read_bytes()[:20_000])
    good[place] = value
    for data in (junk, bytes(good) + junk):
        try:
            assert images.read(data).mode == "RGB"
        except ImageError as error:
            assert str(error).startswith("<bytes>")


def test_folders_globs_and_names_are_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/2.JPG", "a/1.png", "a/b/3.webp", "a/notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in images.find([str(tmp_path / "a")])] == ["1.png", "2.JPG", "3.webp"]
    assert [p.name for p in images.find([str(tmp_path / "a" / "*.png")])] == ["1.png"]
    assert [p.name for p in images.find([str(tmp_path / "?")])] == ["1.png", "2.JPG", "3.webp"]
    for odd in ("a**b/*.jpg", "x" * 5000):
        assert list(images.find([odd])) == [Path(odd)]
    assert list(images.find(["none.jpg", "-"])) == [Path("none.jpg"), Path("-")]
    assert list(images.find([str(tmp_path / "*.gif")])) == [tmp_path / "*.gif"]
