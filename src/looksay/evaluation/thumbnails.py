"""Images inside an HTML page."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from looksay import images
from looksay.errors import ImageError
from looksay.types import Caption

LOOKS_STYLE = """
.looks { display: flex; flex-wrap: wrap; gap: .5em; margin: .4em 0 1.8em; }
.looks span { width: 7.5em; text-align: center; font-size: 13px; }
.looks i { display: block; aspect-ratio: var(--shape); border-radius: 5px; background-size: 100% 100%; }
"""

_SIZE = 256  # pixels of the longer side


class Thumbnail(NamedTuple):
    """A small image: its data URL, and its shape in CSS (``4 / 3``)."""

    url: str
    shape: str


def thumbnail(path: Path) -> Thumbnail | None:
    """Make an image small; None if it cannot be read."""
    try:
        image = images.read(path)
    except ImageError:
        return None
    image.thumbnail((_SIZE, _SIZE))
    return Thumbnail(data_url(image), f"{image.width} / {image.height}")


def data_url(image: Image.Image, format: str = "JPEG") -> str:  # noqa: A002
    """Return an image as a data URL."""
    memory = io.BytesIO()
    image.save(memory, format, quality=80)
    return f"data:image/{format.lower()};base64," + base64.b64encode(memory.getvalue()).decode()


def looks(caption: Caption, image: Thumbnail) -> str:
    """Return HTML that shows the image, and then once a word, bright where the model looked.

    It is styled by `LOOKS_STYLE`, and empty for a design that looks everywhere alike.
    """
    if caption.attention is None or not caption.tokens or np.ptp(caption.attention) == 0:
        return ""
    shades = [f"url('{_shade(attention)}'), " for attention in caption.attention]
    cells = "".join(
        f'<span><i style="background-image: {shade}var(--image)"></i>{html.escape(word)}</span>'
        for shade, word in zip(["", *shades], ["", *caption.tokens], strict=True)
    )
    return f'<div class="looks" style="--image: url(\'{image.url}\'); --shape: {image.shape}">{cells}</div>'


def _shade(attention: NDArray[np.float32]) -> str:
    """Return a PNG that darkens where attention is low, to lie over the image.

    Parameters
    ----------
    attention : ndarray, shape (rows, columns)
    """
    strength = attention / max(float(attention.max()), 1e-9)
    alpha = np.round(200 * (1 - strength)).astype(np.uint8)
    rgba = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    rgba[..., 3] = alpha
    return data_url(Image.fromarray(rgba), "PNG")
