"""Names in caption files and the files that they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from looksay.data.image_locations import locate, root_of


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg", "Flickr_Data/Images/a.jpg"),
        ("val2014/a.jpg", "images/val2014/a.jpg"),
        ("val2014/a.jpg", "images/a.jpg"),
        ("C:/Users/me/photos/a.jpg", "photos/a.jpg"),
        ("Photos/A.JPG", "photos/a.jpg"),
        ("a.jpg", "photos/a.JPEG"),
        ("a", "photos/a.webp"),
        ("photos/a.b", "photos/a.b.jpg"),
        ("391895", "val2014/COCO_val2014_000000391895.jpg"),
        ("391895.0", "000000391895.jpg"),
        ("0007", "7.png"),
    ],
)
def test_a_name_finds_its_file(tmp_path: Path, name: str, file: str) -> None:
    touch(tmp_path, file, "other/b.jpg", "notes/a.txt")
    assert locate(tmp_path, [name]) == ({name: tmp_path / file}, [])


def test_the_very_name_wins_and_no_file_is_taken_twice(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "images/A.jpg", "images/1.jpg", "images/b.jpg")
    paths, _ = locate(tmp_path, ["A.jpg", "a.jpg", "1", "01", "B.jpg", "b.jpg"])
    assert [str(path.relative_to(tmp_path)) for path in paths.values()] == [
        "images/A.jpg", "images/a.jpg", "images/1.jpg", "01", "B.jpg", "images/b.jpg",
    ]  # fmt: skip


def test_of_several_files_that_in_the_folder_with_most_images_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "a_few/1.jpg", "images/1.jpg", "images/2.jpg", ".hidden/1.jpg", ".hidden/2.jpg", ".hidden/3.jpg")
    paths, ambiguous = locate(tmp_path, ["1.jpg", "2.jpg"])
    assert paths["1.jpg"] == tmp_path / "images" / "1.jpg"
    assert ambiguous == ["1.jpg"]  # the user is told


def test_linked_folders_are_searched(tmp_path: Path) -> None:
    touch(tmp_path / "far", "a.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "far")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert locate(tmp_path / "set", ["a.jpg"])[0]["a.jpg"].is_file()


def test_captions_in_a_folder_beside_the_images_belong_to_the_folder_above(tmp_path: Path) -> None:
    touch(tmp_path, "annotations/train.csv", "Flickr_TextData/x.token.txt", "captions/a.jpg", "photos/train.csv")
    assert root_of(tmp_path / "annotations") == root_of(tmp_path / "Flickr_TextData") == tmp_path
    assert root_of(tmp_path / "captions") == tmp_path / "captions"
    assert root_of(tmp_path / "photos") == tmp_path / "photos"
