"""Where a captioner looked, word by word, as one photo."""

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
_LABEL = 26  # pixels under a tile
_LETTERS = 16
_GAP = 8
_COLOUR = (255, 110, 0)
_STRONGEST = 0.75  # of the colour, where the model looked most


def attention(image: ImageSource, caption: Caption, *, tile: int = 180, font: str | Path | None = None) -> Image.Image:
    """Draw the photo once for each word of its caption, coloured where the model looked (after Xu et al. 2015).

    The first tile is the photo itself. The others are grey; the cell that the model looked at most is the most
    orange, and one that got no more attention than the average is grey.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image, or ndarray
        The photo that was captioned.
    caption : Caption
        Made with ``attention=True``.
    tile : int
        Width of the photo in a tile, in pixels.
    font : str or Path, optional
        A TrueType or OpenType file to write the words with; Pillow's own has Latin letters alone.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    ImageError
        If the photo cannot be read.
    OptionError
        If the caption has no attention maps, or those of a model that looks everywhere alike, or if the font cannot
        be read.
    """
    maps = caption.attention
    if maps is None:
        raise OptionError("the caption has no attention maps; make it with attention=True")
    if not maps.size or np.ptp(maps) == 0:
        raise OptionError("this model looks everywhere alike: there is no attention to draw; take one with attention")
    letters = _letters(font)
    photo = images.read(image)
    photo = photo.resize((tile, max(1, round(tile * photo.height / photo.width))), Image.Resampling.LANCZOS)
    tiles = [(photo, "")] + [(_lit(photo, one), word) for one, word in zip(maps, caption.tokens, strict=True)]
    width, height = tile + _GAP, photo.height + _LABEL + _GAP
    columns = min(_COLUMNS, len(tiles))
    sheet = Image.new("RGB", (columns * width + _GAP, math.ceil(len(tiles) / columns) * height + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (lit, word) in enumerate(tiles):
        row, column = divmod(place, columns)
        left, top = _GAP + column * width, _GAP + row * height
        sheet.paste(lit, (left, top))
        pen.text((left + tile / 2, top + photo.height + _LABEL / 2), word, fill="black", font=letters, anchor="mm")
    return sheet


def _letters(font: str | Path | None) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(font, _LETTERS) if font else ImageFont.load_default(_LETTERS)
    except OSError as error:
        raise OptionError(f"{font} cannot be read as a font: {error}; name a .ttf or .otf file") from error


def _lit(photo: Image.Image, looked: NDArray[np.float32]) -> Image.Image:
    """Colour a photo where it was looked at more than on average; `looked` is (rows, columns)."""
    more = np.clip(looked - looked.mean(), 0, None)
    strength = _STRONGEST * more / max(float(more.max()), 1e-9)
    mask = Image.fromarray(np.round(255 * strength).astype(np.uint8)).resize(photo.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", photo.size, _COLOUR), photo.convert("L").convert("RGB"), mask)
