"""Attention maps of a caption, drawn over the photo word by word."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from looksay import images
from looksay.errors import OptionError, require
from looksay.images import ImageSource
from looksay.types import Caption

_COLUMNS = 6
_LABEL_HEIGHT = 26  # pixels under a tile
_FONT_SIZE = 16
_GAP = 8
_MOST_HEIGHT = 4  # of a tile, in its widths
_COLOUR = (255, 110, 0)
_MAX_OPACITY = 0.75  # of the colour, at the cell with the most attention


def draw(image: ImageSource, caption: Caption, *, tile: int = 180, font: str | Path | None = None) -> Image.Image:
    """Draw the photo and, for each word of its caption, a tile with the attention map as an overlay (Xu et al. 2015).

    The first tile is the photo. In the others it is grey, with an orange overlay: strongest at the cell with the most
    attention, absent from cells with no more than the average.

    Parameters
    ----------
    caption : Caption
        Generated with ``attention=True``.
    tile : int
        Width of a tile in pixels.
    font : str or Path, optional
        A TrueType or OpenType file for the words; Pillow's own font has Latin letters only.

    Raises
    ------
    ImageError
        If the image cannot be read.
    OptionError
        If the caption has no attention maps, if the model has no attention, if `tile` is less than 1, or if the font
        cannot be read.
    """
    maps = caption.attention
    if maps is None:
        raise OptionError("the caption has no attention maps: generate it with attention=True.")
    if not maps.size or np.ptp(maps) == 0:
        raise OptionError("the model has no attention to draw: use one with an attention decoder, such as top-down.")
    label_font = _load_font(font)
    require(tile >= 1, f"tile {tile} is out of range: use 1 or more")
    photo = images.read(image)
    scale = min(tile / photo.width, _MOST_HEIGHT * tile / photo.height)
    size = (max(1, round(scale * photo.width)), max(1, round(scale * photo.height)))
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    overlays = [(_overlay(photo, weights), word) for weights, word in zip(maps, caption.tokens, strict=True)]
    tiles = [(photo, ""), *overlays]
    width, height = tile + _GAP, photo.height + _LABEL_HEIGHT + _GAP
    columns = min(_COLUMNS, len(tiles))
    sheet = Image.new("RGB", (columns * width + _GAP, math.ceil(len(tiles) / columns) * height + _GAP), "white")
    canvas = ImageDraw.Draw(sheet)
    for number, (tile_image, word) in enumerate(tiles):
        row, column = divmod(number, columns)
        left, top = _GAP + column * width, _GAP + row * height
        sheet.paste(tile_image, (left + (tile - photo.width) // 2, top))
        middle = (left + tile / 2, top + photo.height + _LABEL_HEIGHT / 2)
        canvas.text(middle, word, fill="black", font=label_font, anchor="mm")
    return sheet


def _load_font(font: str | Path | None) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(font, _FONT_SIZE) if font else ImageFont.load_default(_FONT_SIZE)
    except OSError as error:
        raise OptionError(f"{font} cannot be read as a font ({error}): use a .ttf or .otf file.") from error


def _overlay(photo: Image.Image, weights: NDArray[np.float32]) -> Image.Image:
    """Colour the photo where the attention weights (rows, columns) are above their average."""
    excess = np.clip(weights - weights.mean(), 0, None)
    opacity = _MAX_OPACITY * excess / max(float(excess.max()), 1e-9)
    mask = Image.fromarray(np.round(255 * opacity).astype(np.uint8)).resize(photo.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", photo.size, _COLOUR), photo.convert("L").convert("RGB"), mask)
