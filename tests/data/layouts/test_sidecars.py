"""Images with captions in sidecar text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from looksay import DataError, data


def write(folder: Path, **files: str | None) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or "", encoding="utf-8")
    return folder


def test_each_line_of_a_text_file_is_a_caption(tmp_path: Path) -> None:
    dataset = data.read(write(tmp_path, a_jpg=None, a_txt="一只狗\n\n狗 跑\n", sub__b_png=None, sub__b_txt="एक कुत्ता"))
    assert {record.image.name: record.references for record in dataset.records} == {
        "a.jpg": ("一只狗", "狗 跑"),
        "b.png": ("एक कुत्ता",),
    }


def test_folders_may_be_splits(tmp_path: Path) -> None:
    folder = write(tmp_path, train__a_jpg=None, train__a_txt="x", val__b_jpg=None, val__b_txt="y")
    assert [record.split for record in data.read(folder).records] == ["train", "val"]


def test_unmatched_files_are_counted(tmp_path: Path) -> None:
    folder = write(tmp_path, a_jpg=None, a_txt="x", b_jpg=None, README_txt="z", c_jpg=None, c_txt=" \n")
    assert data.read(folder).problems == (
        "images without a text file, left out: 1 (b.jpg)",
        "text files without an image: 1 (README.txt)",
        "images listed without a caption, left out: 1 (c.txt: c.jpg)",
    )


def test_unknown_folders_list_expected_and_existing_files(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").touch()
    with pytest.raises(DataError, match=r"Expected Flickr8k\.token\.txt .* found photos\.zip"):
        data.read(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        data.read(tmp_path / "none")
