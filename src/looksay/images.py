"""From an image in any form to the input of an encoder: read, resize, normalise.

Training, evaluation, export and the runtime all use `prepare` or its parts, so that they cannot differ.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import threading
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from looksay.errors import ImageError, MissingExtra, needs
from looksay.types import ImageSpec

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | NDArray[Any]

MAX_PIXELS = 89_478_485
"""Larger images are refused before they are decoded (Pillow's limit against decompression bombs)."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "JPEG2000", "PPM", "AVIF", "HEIF")
"""The formats that are read, by Pillow's names; its others are rare, and one of them starts Ghostscript."""

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_HTML = (b"<!doctype", b"<html", b"<head", b"<?xml")
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf")  # pixels and orientation
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

_TRUNCATED = re.compile("truncated|broken data stream|could not create decoder object|only got", re.IGNORECASE)
"""Pillow's words for it: for most formats, JPEG 2000, WebP, and for headers of JPEG 2000."""

_OVERSHOOT = 1e-3  # of floating-point values, from resampling
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(source: ImageSource, spec: ImageSpec) -> NDArray[np.float32]:
    """Return the input of an encoder, float32 (3, size, size), for an image; see `read` for forms and errors."""
    return normalise(resize(read(source, least=spec.size), spec), spec)


def read(source: ImageSource, max_pixels: int = MAX_PIXELS, least: int = 0) -> Image.Image:
    """Open an image, turn it upright (EXIF orientation) and convert it to RGB.

    Grey, palette, transparent (on white), CMYK, 16-bit and floating-point images are converted; of an animation, the
    first frame is read. As in a browser, metadata that cannot be read is ignored, and a file without its end gives the
    part that is there, if this is at least half of the rows. HEIC needs the extra ``looksay[heic]``.

    Parameters
    ----------
    source : path, bytes, bytearray, memoryview, binary file, PIL image, or ndarray
        An array has shape (height, width) or (height, width, 1 | 3 | 4). Integers are from 0 to 255, or to 65535 in
        uint16; floating-point values are from 0 to 1.
    least : int
        The height and width that are needed, if known. A JPEG is then decoded at a half, a quarter or an eighth of its
        size, but at least at three times this size, which does not change the result visibly: a photo of 12 million
        pixels is read in a sixth of the time.

    Raises
    ------
    ImageError
        If the image cannot be read, if its format is not among `FORMATS`, if it has more than `max_pixels` pixels, or
        if an array has another shape or range.
    """
    name = describe(source)
    _check_type(source, name)
    try:
        if isinstance(source, np.ndarray):
            return _to_rgb(_from_array(source))
        if isinstance(source, Image.Image):
            source.load()  # Pillow reads the file when the pixels are needed: its errors belong here
            return _to_rgb(_upright(source))
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:  # noqa: PTH123 (names of bytes, too)
                return _read_file(file, max_pixels, least)
        if isinstance(source, bytes | bytearray | memoryview):
            return _read_file(io.BytesIO(source), max_pixels, least)
        return _read_file(source if source.seekable() else io.BytesIO(source.read()), max_pixels, least)
    except Exception as error:  # Pillow's decoders raise errors of every kind on broken files
        reasons: dict[type[Exception], str] = {
            FileNotFoundError: "there is no such file",
            PermissionError: "permission denied",
            IsADirectoryError: "this is a folder, not an image",
            AssertionError: "the image is closed: open it again",
            UnidentifiedImageError: "this is not an image in a format that looksay reads "
            f"({', '.join(name for name in _formats() if name != 'HEIF')}; HEIC with looksay[heic])",
        }
        reason = reasons.get(type(error)) or str(error) or type(error).__name__
        if _TRUNCATED.search(reason):
            reason = "the file is truncated or damaged: copy or download it again"
        raise ImageError(f"{name}: {reason}") from error


class _Lenient:
    """Pillow's switch for truncated files, on for one thread at a time: it is the whole process's."""

    lock = threading.Lock()
    changes = 0

    def __enter__(self) -> None:
        self.before = ImageFile.LOAD_TRUNCATED_IMAGES
        _Lenient.changes += 1
        ImageFile.LOAD_TRUNCATED_IMAGES = True

    def __exit__(self, *_: object) -> None:
        ImageFile.LOAD_TRUNCATED_IMAGES = self.before
        _Lenient.changes += 1


def _read_file(file: IO[bytes], max_pixels: int, least: int) -> Image.Image:
    """Decode a file; at a second attempt as far as it goes, without metadata that cannot be read."""
    changes = _Lenient.changes
    with contextlib.suppress(Exception):  # Pillow's decoders raise errors of every kind; they return below
        image = _decode(file, max_pixels, least)
        if changes == _Lenient.changes and not ImageFile.LOAD_TRUNCATED_IMAGES:
            return image
    file = _without_metadata(file)
    with _Lenient.lock:
        try:  # again, because another thread may have turned the switch on or off in the meantime
            return _decode(file, max_pixels, least)
        except (ImageError, MissingExtra):
            raise
        except Exception:
            with _Lenient():
                image = _decode(file, max_pixels, least)
            pixels = np.asarray(image)  # decoders fill what is missing with one colour
            rows = np.flatnonzero((pixels != pixels[-1, -1]).any(axis=(1, 2)))
            if rows.size == 0 or rows[-1] < image.height // 2:
                raise
            return image.crop((0, 0, image.width, int(rows[-1]) + 1))


def _without_metadata(file: IO[bytes]) -> IO[bytes]:
    """Return a PNG with the chunks of its pixels alone, and with its end; other files are returned as they are.

    Chunks are laid out as in the PNG specification, section 5.3: length, type, data, CRC.
    """
    file.seek(0)
    if file.read(len(_PNG)) != _PNG:
        return file
    kept, data, place = [_PNG], file.read(), 0
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4])
        if data[place + 4 : place + 8] in _PNG_CHUNKS:
            kept.append(data[place:end])
        place = end
    return io.BytesIO(b"".join(kept) + _PNG_END)


def _decode(file: IO[bytes], max_pixels: int, least: int) -> Image.Image:
    file.seek(0)
    start = file.read(64)
    file.seek(0)
    if not start:
        raise ImageError("the file is empty and not an image: copy or download it again")
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML):
        raise ImageError("this is a web page or another text, not an image: download the image itself")
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        _register_heif()
    # Pillow has the readers of these two; those of all formats would take longer to import than a photo to decode.
    formats = ("JPEG", "PNG") if start.startswith((_JPEG, _PNG)) else _formats()
    with Image.open(file, formats=formats) as image:
        if image.width * image.height > max_pixels:
            raise ImageError(f"{image.width} × {image.height} pixels are more than {max_pixels:,}; shrink the image")
        if least:
            image.draft(image.mode, (3 * least, 3 * least))
        image.load()
        return _to_rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """Return an image as its EXIF orientation says, without a copy if it is upright or if its EXIF cannot be read."""
    try:
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if is_turned else image
    except Exception:  # Pillow raises errors of every kind
        return image


@functools.cache
def _register_heif() -> None:
    with needs("Reading HEIC images", "heic"):
        import pillow_heif
    pillow_heif.register_heif_opener()
    _formats.cache_clear()


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return the members of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def describe(source: object) -> str:
    """Return the name of an image in messages and results: its path or its type."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, np.ndarray):
        return f"array of shape {source.shape}"
    return str(getattr(source, "filename", "") or getattr(source, "name", "") or f"<{type(source).__name__}>")


def is_batch(source: object) -> bool:
    """Return whether `source` is an iterable of images and not an image; a NumPy array is an image."""
    is_one = isinstance(source, str | bytes | bytearray | memoryview | os.PathLike | Image.Image | np.ndarray | Mapping)
    is_tensor = getattr(source, "ndim", 1) != 1  # of another library; it would be iterated by rows
    return isinstance(source, Iterable) and not (is_one or is_tensor or hasattr(source, "read"))


def _check_type(source: object, name: str) -> None:
    """Raise an `ImageError` for objects that are not images; Pillow's own errors name no next step."""
    if isinstance(source, str) and re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE):
        raise ImageError(f"{source} is a URL: download the image, and pass its path or bytes")
    if isinstance(source, io.TextIOBase):
        raise ImageError(f"{name} is open in text mode: open it with mode 'rb'")
    is_known = isinstance(source, str | bytes | bytearray | memoryview | os.PathLike | Image.Image | np.ndarray)
    if not is_known and not hasattr(source, "read"):
        kind = "None" if source is None else f"an object of type {type(source).__name__}"
        raise ImageError(f"{kind} is not an image: pass a path, bytes, a binary file, a PIL image or a NumPy array")


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageError("an array must have shape (height, width) or (height, width, 1 | 3 | 4)")
    if array.size == 0:
        raise ImageError("an array must have pixels")
    is_float = array.dtype.kind == "f"
    if array.dtype.kind not in "fiu":
        raise ImageError(f"an array must hold integers or floating-point values, not {array.dtype}")
    if is_float:
        array = np.nan_to_num(array)
    low, high = array.min(), array.max()
    limit = 1 if is_float else 65535 if array.dtype == np.uint16 and high > 255 else 255
    tolerance = _OVERSHOOT if is_float else 0
    if low < -tolerance or high > limit + tolerance:
        raise ImageError(f"values from {low:g} to {high:g} are out of range: {array.dtype} must be from 0 to {limit}")
    if limit != 255:
        array = np.clip(np.rint(array * (255 / limit)), 0, 255)
    return Image.fromarray(array.astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image with few copies: it may have 50 million pixels."""
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        values = np.array(image, dtype=np.float32)
        np.nan_to_num(values, copy=False)
        # The range of the other two modes is not stored, so the largest value decides, with tolerance for overshoot.
        peak = np.inf if image.mode.startswith("I;16") else values.max()
        values *= 255.0 if peak <= 2 else 1.0 if peak <= 260 else 1 / 257
        np.clip(np.rint(values, out=values), 0, 255, out=values)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGB", image.size, "white")
        background.paste(image, mask=image.getchannel("A"))
        return background
    return image if image.mode == "RGB" else image.convert("RGB")


def resize(image: Image.Image, spec: ImageSpec) -> NDArray[np.uint8]:
    """Resize an RGB image to uint8 (size, size, 3), with the channels in the order of `spec`."""
    target, resample = (spec.size, spec.size), _FILTERS[spec.interpolation]
    if spec.resize == "crop":
        image = ImageOps.fit(image, target, method=resample)
    elif image.size != target:
        image = image.resize(target, resample)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if spec.channels == "rgb" else pixels[:, :, ::-1]


def normalise(pixels: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.float32]:
    """Scale pixels (..., size, size, 3) to ``(pixel / 255 - mean) / std``, float32 (..., 3, size, size)."""
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (spec.mean, spec.std))
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, -3))  # arithmetic on the last axis of 3 would be slow
    scaled: NDArray[np.float32] = np.multiply(planes, 1 / (255 * std), dtype=np.float32)
    scaled -= mean / std
    return scaled
