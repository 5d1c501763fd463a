"""Attention maps are drawn where the model attended, under the right words."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from conftest import EXAMPLES
from PIL import Image

import looksay
from looksay.runtime import attention_map
from looksay.types import Caption

PHOTO = EXAMPLES / "boats.jpg"


@pytest.fixture(scope="module")
def caption() -> Caption:
    return looksay.load()(PHOTO, attention=True)


def test_the_sheet_has_a_tile_for_the_photo_and_one_for_each_word(caption: Caption) -> None:
    sheet = attention_map.draw(PHOTO, caption, tile=60)
    tiles = len(caption.tokens) + 1
    columns, rows = min(6, tiles), -(-tiles // 6)
    assert sheet.width == columns * 68 + 8
    assert (sheet.height - 8) % rows == 0


def test_an_overlay_is_coloured_where_the_attention_is_and_grey_elsewhere() -> None:
    white = np.full((80, 80, 3), 255, np.uint8)
    maps = np.zeros((3, 8, 8), np.float32)
    maps[0, 1, 6] = maps[1, 6, 1] = 1
    maps[2] = 1 / 64
    sheet = attention_map.draw(white, Caption("so three words", ("so", "three", "words"), -1.0, maps), tile=80)
    pixels = np.asarray(sheet).astype(int)
    photo, first, second, third = (pixels[8:88, left : left + 80] for left in (8, 96, 184, 272))
    colour = [np.ptp(tile, axis=2) for tile in (first, second)]
    assert photo.min() == third.min() == 255
    assert min(colour[0][15, 65], colour[1][65, 15]) > 150
    assert max(colour[0][65, 15], colour[1][15, 65]) == 0


def test_the_label_is_under_its_tile(caption: Caption) -> None:
    other = replace(caption, tokens=("x", *caption.tokens[1:]))
    sheets = [np.asarray(attention_map.draw(PHOTO, variant)) for variant in (caption, other)]
    changed = np.argwhere((sheets[0] != sheets[1]).any(axis=2))
    assert len(changed)
    tile_height = round(180 * 213 / 320)  # only the rows of the label differ
    assert changed[:, 0].max() - changed[:, 0].min() < 26
    assert changed[:, 0].min() > tile_height / 2


def test_the_sheet_of_a_very_tall_image_is_of_a_size_to_look_at(caption: Caption) -> None:
    sheet = attention_map.draw(Image.new("RGB", (2, 6000)), caption, tile=50)
    rows = math.ceil((1 + len(caption.tokens)) / 6)
    assert sheet.height <= rows * (4 * 50 + 40) + 10
    with pytest.raises(looksay.OptionError, match="tile 0 is out of range"):
        attention_map.draw(PHOTO, caption, tile=0)


def test_a_caption_without_maps_is_an_error_with_the_next_step(caption: Caption) -> None:
    with pytest.raises(looksay.OptionError, match="generate it with attention=True"):
        attention_map.draw(PHOTO, replace(caption, attention=None))
    uniform = replace(caption, attention=np.ones((len(caption.tokens), 1, 1), np.float32))
    with pytest.raises(looksay.OptionError, match="no attention to draw: use one with an attention decoder"):
        attention_map.draw(PHOTO, uniform)
    with pytest.raises(looksay.ImageError, match="no such file"):
        attention_map.draw(Path("nowhere.jpg"), caption)


def test_labels_use_the_given_font(caption: Caption, tmp_path: Path) -> None:
    font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    variants = [replace(caption, tokens=(word, *caption.tokens[1:])) for word in ("лодка", "домик")]
    sheets = [np.asarray(attention_map.draw(PHOTO, variant, font=font)) for variant in variants]
    assert (sheets[0] != sheets[1]).any()
    missing = tmp_path / "letters.ttf"
    with pytest.raises(looksay.OptionError, match=r"letters\.ttf cannot be read as a font.*\.otf"):
        attention_map.draw(PHOTO, caption, font=missing)
