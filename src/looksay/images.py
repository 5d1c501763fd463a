"""path | bytes | file | PIL | ndarray → upright RGB → model input.

`prepare` is the only road from an image to a model: training, evaluation, export and the runtime all take it.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from looksay.errors import ImageError
from looksay.types import ImageSpec

ImageSource = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[Any]

EXTENSIONS = frozenset(".jpg .jpeg .png .webp .gif .bmp .tif .tiff .jp2 .ppm .pgm .avif".split())
MAX_PIXELS = 89_478_485
"""Larger images are refused before they are decoded (Pillow's own limit against decompression bombs)."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")
"""What is tried, in Pillow's names; its other readers are rarely wanted, and one of them starts Ghostscript."""

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(source: ImageSource, spec: ImageSpec) -> NDArray[np.float32]:
    """Turn any image into the input of an encoder.

    Parameters
    ----------
    source : path, bytes, binary file, PIL image, or ndarray
        See `read`.
    spec : ImageSpec
        What the encoder expects.

    Returns
    -------
    ndarray of float32, shape (3, size, size)

    Raises
    ------
    ImageError
        If the image cannot be found, read or decoded.
    """
    return normalise(resize(read(source, least=spec.size), spec), spec)


def read(source: ImageSource, max_pixels: int = MAX_PIXELS, least: int = 0) -> Image.Image:
    """Open an image, turn it upright (EXIF orientation) and convert it to RGB.

    Grey, palette, transparent (laid on white), CMYK, 16-bit and floating-point images are converted; the first
    frame of an animation is taken. An array has shape (height, width) or (height, width, 1 | 3 | 4), in 0 to 255
    (uint8), 0 to 65535 (uint16) or 0 to 1 (floating point).

    Parameters
    ----------
    source : path, bytes, binary file, PIL image, or ndarray
    max_pixels : int
    least : int
        Pixels of height and width that are needed, if known. A JPEG is then decoded at a half, a quarter or an eighth
        of its size, as long as twice as many are left (so that it looks the same): a photo of 12 million pixels is
        read in a sixth of the time.

    Raises
    ------
    ImageError
        If the image cannot be found, read or decoded, is in none of `FORMATS`, or if a file has more than
        `max_pixels` pixels.
    """
    name = describe(source)
    try:
        if isinstance(source, np.ndarray):
            return _to_rgb(_from_array(source))
        if isinstance(source, Image.Image):
            turned = source.getexif().get(ExifTags.Base.Orientation, 1) != 1
            return _to_rgb(ImageOps.exif_transpose(source) if turned else source)  # which makes a copy in any case
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_formats()) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(f"it has {image.width} × {image.height} pixels, more than {max_pixels:,}; shrink it")
            if least:
                image.draft(image.mode, (2 * least, 2 * least))
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file") from error
    except PermissionError as error:
        raise ImageError(f"{name}: permission denied") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: this is a folder, not an image") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: this is not an image in a format that looksay reads ({', '.join(_formats())})"
        ) from error
    except Exception as error:  # Pillow's decoders raise errors of every kind on broken files
        raise ImageError(f"{name}: {str(error) or type(error).__name__}") from error


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def describe(source: ImageSource) -> str:
    """Return a name for `source` in messages and results: its path, or what kind of object it is."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, np.ndarray):
        return f"array of shape {source.shape}"
    return str(getattr(source, "filename", "") or getattr(source, "name", "") or f"<{type(source).__name__}>")


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageError("an array must have shape (height, width) or (height, width, 1 | 3 | 4)")
    if array.size == 0:
        raise ImageError("an array must have pixels")
    if array.dtype.kind == "f":
        array = np.nan_to_num(array) * 255.0
    elif array.dtype == np.uint16:
        array = array / 257.0
    elif array.dtype != np.uint8:
        raise ImageError(f"an array must hold uint8, uint16 or floating-point values, not {array.dtype}")
    return Image.fromarray(_to_uint8(array))


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert with few copies: an image may have 50 million pixels."""
    if image.mode.startswith("I") or image.mode == "F":  # Pillow's own conversion would clip at 255
        values = np.array(image, dtype=np.float32)
        np.nan_to_num(values, copy=False)
        # No header tells the range of the other two modes, so the brightest pixel must, with room for overshoot.
        peak = np.inf if image.mode.startswith("I;16") else values.max()
        values *= 255.0 if peak <= 2 else 1.0 if peak <= 260 else 1 / 257
        np.clip(np.rint(values, out=values), 0, 255, out=values)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def resize(image: Image.Image, spec: ImageSpec) -> NDArray[np.uint8]:
    """Bring an RGB image to the size of `spec`.

    Returns
    -------
    ndarray of uint8, shape (size, size, 3)
        In the channel order of `spec`.
    """
    target, resample = (spec.size, spec.size), _FILTERS[spec.interpolation]
    if spec.resize == "crop":
        image = ImageOps.fit(image, target, method=resample)
    elif image.size != target:
        image = image.resize(target, resample)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if spec.channels == "rgb" else pixels[:, :, ::-1]


def normalise(pixels: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.float32]:
    """Scale pixels for the encoder.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (..., size, size, 3)

    Returns
    -------
    ndarray of float32, shape (..., 3, size, size)
        ``(pixel / 255 - mean) / std``.
    """
    mean, std = (np.array(each, dtype=np.float32)[:, None, None] for each in (spec.mean, spec.std))
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, -3))  # first: arithmetic on rows of three is slow
    scaled: NDArray[np.float32] = np.multiply(planes, 1 / (255 * std), dtype=np.float32)
    scaled -= mean / std
    return scaled


def find(paths: Sequence[str], without: Path | None = None) -> Iterator[Path]:
    """Expand files, folders (all the images below them, sorted) and globs into paths of images.

    Folders are walked while their images are used, so that no list of them all is needed. Hidden files and folders
    in them are left out: they are what other programs put there. A path that names nothing is kept, so that reading it
    reports it.

    Parameters
    ----------
    paths : sequence of str
    without : Path, optional
        A folder that is not walked.
    """
    left_out = without.resolve() if without else None
    for text in paths:
        path = Path(text)
        try:
            matches = _matches(path)
        except (OSError, ValueError):  # no rights, a name too long, a glob that is none
            matches = [path]
        for match in matches:
            yield from _walk(match, left_out) if os.path.isdir(match) else [match]  # noqa: PTH112 (see _walk)


def _matches(path: Path) -> list[Path]:
    if path.exists() or not any(character in str(path) for character in "*?["):
        return [path]
    return sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor)))) or [path]


def _walk(folder: Path, without: Path | None) -> Iterator[Path]:
    """Yield the images below a folder; links to other folders are not followed."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (a folder may hold a million: no more than their names)
    except OSError:
        yield folder  # reading it reports why it cannot be listed
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            continue
        if os.path.isdir(path):  # noqa: PTH112 (Path's own raises where it may not look)
            if not path.is_symlink() and (without is None or path.resolve() != without):
                yield from _walk(path, without)
        elif path.suffix.lower() in EXTENSIONS and os.path.isfile(path):  # noqa: PTH113
            yield path
