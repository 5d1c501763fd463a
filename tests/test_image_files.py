"""Folders and globs give their images, and files that look like images are counted."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from looksay import image_files


def test_folders_and_globs_are_expanded(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/2.JPG", "a/1.png", "a/b/3.webp", "a/notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in image_files.find([str(tmp_path / "a")])] == ["1.png", "2.JPG", "3.webp"]
    assert [p.name for p in image_files.find([str(tmp_path / "a" / "*.png")])] == ["1.png"]
    assert [p.name for p in image_files.find([str(tmp_path / "?")])] == ["1.png", "2.JPG", "3.webp"]
    for odd in ("a**b/*.jpg", "x" * 5000):
        assert list(image_files.find([odd])) == [Path(odd)]
    assert list(image_files.find(["none.jpg", "-"])) == [Path("none.jpg"), Path("-")]
    assert list(image_files.find([str(tmp_path / "*.gif")])) == [tmp_path / "*.gif"]


def test_files_that_are_not_read_are_counted_and_heic_is_read_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.jpg", "b.HEIC", "c.nef", "d.NEF", "e.txt"):
        (tmp_path / name).touch()
    pytest.importorskip("pillow_heif")
    for is_installed in (True, False):
        if not is_installed:
            monkeypatch.setitem(sys.modules, "pillow_heif", None)
        image_files.extensions.cache_clear()
        ignored = Counter[str]()
        names = [path.name for path in image_files.find([str(tmp_path)], ignored=ignored)]
        assert names == ["a.jpg", "b.HEIC"][: 1 + is_installed]
        assert ignored == Counter({".nef": 2} | ({} if is_installed else {".heic": 1}))
    image_files.extensions.cache_clear()
