"""Attention maps of a caption, drawn as one image."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from looksay import images
from looksay.errors import OptionError
from looksay.images import ImageSource
from looksay.types import Caption

_COLUMNS = 6
_LABEL_HEIGHT = 26  # pixels
_FONT_SIZE = 16
_GAP = 8
_COLOUR = (255, 110, 0)
_MAX_OPACITY = 0.75


def draw(image: ImageSource, caption: Caption, *, tile: int = 180, font: str | Path | None = None) -> Image.Image:
    """Draw an image once for each token of its caption, coloured by attention (as in Xu et al. 2015).

    The first tile is the image itself. In the others, cells of average or less attention are grey, and the cell of
    the largest attention is the most orange.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image, or ndarray
    caption : Caption
        Generated with ``attention=True``.
    tile : int
        Width of a tile in pixels.
    font : str or Path, optional
        A TrueType or OpenType font; Pillow's own has only Latin letters.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    ImageError
        If the image cannot be read.
    OptionError
        If the caption has no attention maps, or uniform ones, or if the font cannot be read.
    """
    maps = caption.attention
    if maps is None:
        raise OptionError("the caption has no attention maps: generate it with attention=True")
    if not maps.size or np.ptp(maps) == 0:
        raise OptionError("the attention of this model is uniform: use a model with an attention decoder")
    label_font = _load_font(font)
    photo = images.read(image)
    photo = photo.resize((tile, max(1, round(tile * photo.height / photo.width))), Image.Resampling.LANCZOS)
    tiles = [(photo, "")] + [(_colour(photo, one), token) for one, token in zip(maps, caption.tokens, strict=True)]
    width, height = tile + _GAP, photo.height + _LABEL_HEIGHT + _GAP
    columns = min(_COLUMNS, len(tiles))
    sheet = Image.new("RGB", (columns * width + _GAP, math.ceil(len(tiles) / columns) * height + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (tile_image, token) in enumerate(tiles):
        row, column = divmod(index, columns)
        left, top = _GAP + column * width, _GAP + row * height
        sheet.paste(tile_image, (left, top))
        center = (left + tile / 2, top + photo.height + _LABEL_HEIGHT / 2)
        pen.text(center, token, fill="black", font=label_font, anchor="mm")
    return sheet


def _load_font(font: str | Path | None) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(font, _FONT_SIZE) if font else ImageFont.load_default(_FONT_SIZE)
    except OSError as error:
        raise OptionError(f"{font} cannot be read as a font: {error}; use a .ttf or .otf file") from error


def _colour(photo: Image.Image, attention: NDArray[np.float32]) -> Image.Image:
    """Colour a grey copy of an image by its attention map (rows, columns)."""
    excess = np.clip(attention - attention.mean(), 0, None)
    opacity = _MAX_OPACITY * excess / max(float(excess.max()), 1e-9)
    mask = Image.fromarray(np.round(255 * opacity).astype(np.uint8)).resize(photo.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", photo.size, _COLOUR), photo.convert("L").convert("RGB"), mask)
