"""Flickr8k and Flickr30k in their authors' layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import COPIES, PHOTOS, REFERENCES, write_flickr8k

from looksay import DataError, data


def test_the_original_layout_has_the_official_splits(small_data: Path) -> None:
    dataset = data.read(small_data)
    assert dataset.layout == "Flickr8k, original layout"
    assert len(dataset.split("train")) == COPIES * len(PHOTOS)
    assert [record.image.name for record in dataset.split("val")] == [f"val-{photo}" for photo in PHOTOS]
    assert dataset.split("val")[0].references == (REFERENCES["alps.jpg"],) * 2
    assert dataset.split("val")[0].image.is_file()
    with pytest.raises(DataError, match=r"has no test split; it has train \(16 images\), val \(4 images\)"):
        dataset.split("test")


def test_the_original_layout_may_be_in_its_zip_files_folders(tmp_path: Path) -> None:
    folder = write_flickr8k(tmp_path / "data")
    (folder / "Images").rename(folder / "Flicker8k_Dataset")
    (folder / "Flickr8k_text").mkdir()
    for file in folder.glob("*.txt"):
        file.rename(folder / "Flickr8k_text" / file.name)
    assert len(data.read(folder).records) == (COPIES + 1) * len(PHOTOS)


@pytest.mark.parametrize(
    "source", [".", "Flickr_Data", "Flickr_Data/Flickr_TextData", "Flickr_Data/Flickr_TextData/Flickr8k.token.txt"]
)
def test_kaggles_copy_has_its_texts_beside_the_images(tmp_path: Path, source: str) -> None:
    folder = write_flickr8k(tmp_path / "archive" / "Flickr_Data")
    (folder / "Flickr_TextData").mkdir()
    for file in folder.glob("*.txt"):
        file.rename(folder / "Flickr_TextData" / file.name)
    dataset = data.read(tmp_path / "archive" / source)
    assert dataset.layout == "Flickr8k, original layout"
    assert len(dataset.split("val")) == len(PHOTOS)
    assert all(record.image.parent == folder / "Images" for record in dataset.records)


def test_windows_line_ends_bom_and_the_copy_mark_are_read(tmp_path: Path) -> None:
    folder = write_flickr8k(tmp_path / "data")
    tokens = folder / "Flickr8k.token.txt"
    text = tokens.read_text(encoding="utf-8").replace("val-alps.jpg#", "val-alps.jpg.1#")
    tokens.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert data.read(folder).split("val")[0].references == (REFERENCES["alps.jpg"],) * 2


def test_captions_of_unlisted_images_are_counted(tmp_path: Path) -> None:
    folder = write_flickr8k(tmp_path / "data")
    with (folder / "Flickr8k.token.txt").open("a", encoding="utf-8") as file:
        file.write("other.jpg#0\ta dog\nval-alps.jpg#2\t \n")
    problems = data.read(folder).problems
    assert "images with captions in none of the existing lists: 1 (other.jpg)" in problems
    assert "empty captions, left out: 1 (Flickr8k.token.txt, line 42)" in problems


@pytest.mark.parametrize(
    ("file", "line", "problem"),
    [
        ("Flickr8k.token.txt", "no tab here", r"token\.txt, line 41: expected NAME\.jpg#0, a tab and a caption"),
        ("Flickr_8k.devImages.txt", "unknown.jpg", r"devImages\.txt, line 5: unknown\.jpg has no caption"),
        ("Flickr_8k.devImages.txt", "0-alps.jpg", r"line 5: 0-alps\.jpg is in the val split, and in the train split"),
    ],
)
def test_broken_files_are_refused_with_file_and_row(tmp_path: Path, file: str, line: str, problem: str) -> None:
    folder = write_flickr8k(tmp_path / "data")
    with (folder / file).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=problem):
        data.read(folder)


def test_flickr30ks_tokens_have_no_lists_so_splits_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "flickr30k-images").mkdir()
    for name in ("1.jpg", "2.jpg", "3.jpg", "4.jpg"):
        (tmp_path / "flickr30k-images" / name).touch()
    lines = [f"{n}.jpg#{k}\tImage {n} , caption {k} ." for n in range(1, 5) for k in range(5)]
    (tmp_path / "results_20130124.token").write_text("\n".join(lines), encoding="utf-8")
    dataset = data.read(tmp_path)
    assert dataset.layout.startswith("Flickr30k tokens results_20130124.token; no splits of its own")
    assert dataset.records[0].references[2] == "Image 1 , caption 2 ."
    assert {record.split for record in dataset.records} == {"train", "val", "test"}


def test_the_real_flickr8k_has_6000_train_and_1000_val_images_with_five_captions(flickr8k: Path) -> None:
    dataset = data.read(flickr8k)
    assert {len(record.references) for record in dataset.records} == {5}
    assert (len(dataset.split("train")), len(dataset.split("val"))) == (6000, 1000)
    assert all(record.image.is_file() for record in dataset.records)
