"""The image cache: images are decoded once, and changed images again."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, PHOTOS

from looksay import DataError, images
from looksay.atomic_files import replacing
from looksay.data.image_cache import ImageCache, default_folder
from looksay.types import ImageSpec

SPEC = ImageSpec(size=32)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [Path(shutil.copy(EXAMPLES / photo, tmp_path)) for photo in PHOTOS]


def test_the_cache_holds_the_input_of_the_runtime(paths: list[Path]) -> None:
    cache = ImageCache(paths, SPEC)
    expected = [images.resize(images.read(path, least=SPEC.size), SPEC) for path in paths]
    np.testing.assert_array_equal(cache.pixels(range(4)), expected)
    np.testing.assert_array_equal(cache.pixels([2, 0]), [expected[2], expected[0]])
    assert [file.name for file in default_folder().iterdir()] == [cache.folder.name]


def test_images_are_decoded_once(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = ImageCache(paths, SPEC)
    monkeypatch.setattr(images, "read", lambda _: pytest.fail("decoded again"))
    np.testing.assert_array_equal(ImageCache(paths, SPEC).pixels([1]), first.pixels([1]))


def test_a_changed_image_order_or_spec_makes_another_cache(paths: list[Path]) -> None:
    files = [ImageCache(paths, SPEC).folder, ImageCache(paths, ImageSpec(size=16)).folder]
    files.append(ImageCache(paths[::-1], SPEC).folder)
    shutil.copy(paths[0], paths[1])
    files.append(ImageCache(paths, SPEC).folder)
    os.utime(paths[2], (1, 1))
    files.append(ImageCache(paths, SPEC).folder)
    paths[3].unlink()
    files.append(ImageCache(paths, SPEC).folder)
    assert len(set(files)) == 6


def test_unreadable_images_are_logged_on_every_use(paths: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    paths[1].write_bytes(b"broken")
    paths[3].unlink()
    for _ in range(2):
        caplog.clear()
        cache = ImageCache(paths, SPEC)
        assert sorted(cache.problems) == [1, 3]
        assert caplog.messages == [f"left out: {problem}" for problem in cache.problems.values()]
        assert caplog.messages[1] == f"left out: {paths[3]}: there is no such file"
    assert caplog.records[0].levelno == logging.WARNING


def test_no_readable_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of 1 images can be read.*none\.jpg"):
        ImageCache([tmp_path / "none.jpg"], SPEC)


def test_an_unwritable_cache_names_the_option_for_another_folder(paths: list[Path]) -> None:
    with pytest.raises(DataError, match=r"data\.cache=DIR"):
        ImageCache(paths, SPEC, paths[0] / "below a file")


def test_an_interrupted_write_leaves_no_file(tmp_path: Path) -> None:
    def interrupted_write() -> None:
        with replacing(tmp_path / "deep" / "file") as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_write()
    assert list((tmp_path / "deep").iterdir()) == []
