"""Attention maps are drawn on the photo, one tile for each token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from conftest import EXAMPLES

import looksay
from looksay.runtime import attention_map
from looksay.types import Caption


@pytest.fixture(scope="module")
def caption() -> Caption:
    return looksay.load()(EXAMPLES / "boats.jpg", attention=True)


def test_there_is_a_tile_for_the_photo_and_one_for_each_token(caption: Caption) -> None:
    sheet = attention_map.draw(EXAMPLES / "boats.jpg", caption, tile=60)
    tiles = len(caption.tokens) + 1
    columns, rows = min(6, tiles), -(-tiles // 6)
    assert sheet.width == columns * 68 + 8
    assert (sheet.height - 8) % rows == 0


def test_a_tile_is_coloured_by_attention_and_grey_elsewhere() -> None:
    white = np.full((80, 80, 3), 255, np.uint8)
    maps = np.zeros((3, 8, 8), np.float32)
    maps[0, 1, 6] = maps[1, 6, 1] = 1
    maps[2] = 1 / 64
    caption = Caption("these three words", ("these", "three", "words"), -1.0, maps)
    sheet = np.asarray(attention_map.draw(white, caption, tile=80)).astype(int)
    plain, first, second, third = (sheet[8:88, left : left + 80] for left in (8, 96, 184, 272))
    colour = [np.ptp(tile, axis=2) for tile in (first, second)]
    assert plain.min() == third.min() == 255
    assert min(colour[0][15, 65], colour[1][65, 15]) > 150
    assert max(colour[0][65, 15], colour[1][15, 65]) == 0


def test_a_token_is_written_under_its_tile(caption: Caption) -> None:
    other = replace(caption, tokens=("x", *caption.tokens[1:]))
    first, second = (np.asarray(attention_map.draw(EXAMPLES / "boats.jpg", one)) for one in (caption, other))
    changed = np.argwhere((first != second).any(axis=2))
    assert len(changed)
    tile_height = round(180 * 213 / 320)  # only the rows of the label differ
    assert changed[:, 0].max() - changed[:, 0].min() < 26
    assert changed[:, 0].min() > tile_height / 2


def test_captions_without_attention_are_refused_with_what_to_do(caption: Caption) -> None:
    with pytest.raises(looksay.OptionError, match="attention=True"):
        attention_map.draw(EXAMPLES / "boats.jpg", replace(caption, attention=None))
    uniform = replace(caption, attention=np.ones((len(caption.tokens), 1, 1), np.float32))
    with pytest.raises(looksay.OptionError, match="attention of this model is uniform"):
        attention_map.draw(EXAMPLES / "boats.jpg", uniform)
    with pytest.raises(looksay.ImageError, match="no such file"):
        attention_map.draw(Path("nowhere.jpg"), caption)


def test_another_font_has_other_letters(caption: Caption, tmp_path: Path) -> None:
    font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    boats, house = (replace(caption, tokens=(word, *caption.tokens[1:])) for word in ("лодка", "домик"))
    drawn = [np.asarray(attention_map.draw(EXAMPLES / "boats.jpg", one, font=font)) for one in (boats, house)]
    assert (drawn[0] != drawn[1]).any()
    missing = tmp_path / "letters.ttf"
    with pytest.raises(looksay.OptionError, match=r"letters\.ttf cannot be read as a font.*\.otf"):
        attention_map.draw(EXAMPLES / "boats.jpg", caption, font=missing)
