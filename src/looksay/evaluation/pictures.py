"""Pictures inside an HTML page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from looksay import images
from looksay.errors import ImageError

_SIZE = 256  # pixels of the longer side


class Thumbnail(NamedTuple):
    """A small picture: its data URL, and its shape in CSS (``4 / 3``)."""

    url: str
    shape: str


def thumbnail(path: Path) -> Thumbnail | None:
    """Make a picture small; None if it cannot be read."""
    try:
        picture = images.read(path)
    except ImageError:
        return None
    picture.thumbnail((_SIZE, _SIZE))
    return Thumbnail(data_url(picture), f"{picture.width} / {picture.height}")


def data_url(picture: Image.Image, format: str = "JPEG") -> str:  # noqa: A002
    """Return a picture as a data URL."""
    memory = io.BytesIO()
    picture.save(memory, format, quality=80)
    return f"data:image/{format.lower()};base64," + base64.b64encode(memory.getvalue()).decode()


def shade(attention: NDArray[np.float32]) -> str:
    """Return a PNG that darkens where attention is low, to lie over the picture.

    Parameters
    ----------
    attention : ndarray, shape (rows, columns)
    """
    strength = attention / max(float(attention.max()), 1e-9)
    alpha = np.round(200 * (1 - strength)).astype(np.uint8)
    rgba = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    rgba[..., 3] = alpha
    return data_url(Image.fromarray(rgba), "PNG")
