"""Images in self-contained HTML pages: thumbnails and attention maps."""

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

STRIP_STYLE = """
.attention { display: flex; flex-wrap: wrap; gap: .5em; margin: .4em 0 1.8em; }
.attention span { width: 7.5em; text-align: center; font-size: 13px; }
.attention i { display: block; aspect-ratio: var(--shape); border-radius: 5px; background-size: 100% 100%; }
"""

_SIZE = 256  # pixels of the longer side


class Thumbnail(NamedTuple):
    """A small image: its data URL and its aspect ratio in CSS (``4 / 3``)."""

    url: str
    shape: str


def thumbnail(path: Path) -> Thumbnail | None:
    """Return a thumbnail, or None if the image cannot be read."""
    try:
        image = images.read(path)
    except ImageError:
        return None
    image.thumbnail((_SIZE, _SIZE))
    return Thumbnail(data_url(image), f"{image.width} / {image.height}")


def data_url(image: Image.Image, format: str = "JPEG") -> str:  # noqa: A002
    """Return an image as a data URL."""
    buffer = io.BytesIO()
    image.save(buffer, format, quality=80)
    return f"data:image/{format.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


def attention_strip(caption: Caption, image: Thumbnail) -> str:
    """Return HTML of the image and, for each word, the image darkened where attention is low.

    It needs `STRIP_STYLE`, and is empty for a decoder without attention.
    """
    if caption.attention is None or not caption.tokens or np.ptp(caption.attention) == 0:
        return ""
    shades = [f"url('{_shade(attention)}'), " for attention in caption.attention]
    cells = "".join(
        f'<span><i style="background-image: {shade}var(--image)"></i>{html.escape(word)}</span>'
        for shade, word in zip(["", *shades], ["", *caption.tokens], strict=True)
    )
    return (
        f'<div class="attention" dir="auto" style="--image: url(\'{image.url}\'); --shape: {image.shape}">{cells}</div>'
    )


def _shade(attention: NDArray[np.float32]) -> str:
    """Return a PNG to overlay, opaque where attention (rows, columns) is low."""
    strength = attention / max(float(attention.max()), 1e-9)
    alpha = np.round(200 * (1 - strength)).astype(np.uint8)
    rgba = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    rgba[..., 3] = alpha
    return data_url(Image.fromarray(rgba), "PNG")
