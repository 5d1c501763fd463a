"""Pictures inside an HTML page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from looksay import images
from looksay.errors import ImageError

SIZE = 256  # pixels of the longer side


def thumbnail(path: Path) -> str:
    """Return a picture as a small data URL; empty if it cannot be read."""
    try:
        picture = images.read(path)
    except ImageError:
        return ""
    picture.thumbnail((SIZE, SIZE))
    return data_url(picture)


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
