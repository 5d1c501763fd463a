"""Defects of data sets: each is reported with file and row, and none ends in a traceback."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from looksay import DataError, data
from looksay.cli.main import main


def write(file: Path, text: str | bytes, *images: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for image in images:
        (file.parent / image).parent.mkdir(parents=True, exist_ok=True)
        (file.parent / image).touch()
    return file.parent


def test_names_of_one_file_are_one_image(tmp_path: Path) -> None:
    folder = write(tmp_path / "c.csv", "image,caption\na.jpg,x\n./a.jpg,y\n", "a.jpg")
    (record,) = data.read(folder).records
    assert record.references == ("x", "y")


def test_images_of_one_name_in_two_folders_are_not_confused(tmp_path: Path) -> None:
    folder = write(tmp_path / "c.csv", "image,caption\nx/a.jpg,x\ny/a.jpg,y\n", "a.jpg")
    with pytest.raises(DataError, match="none of the 2 images exists"):
        data.read(folder)


def test_splits_may_have_separate_folders(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "image,caption\na.jpg,x\n", "train/a.jpg")
    folder = write(tmp_path / "val.csv", "image,caption\nb.jpg,y\n", "val/b.jpg")
    assert {record.image for record in data.read(folder).records} == {folder / "train/a.jpg", folder / "val/b.jpg"}


def test_the_first_images_may_be_missing(tmp_path: Path) -> None:
    rows = "".join(f"{n}.jpg,image {n}\n" for n in range(60))
    dataset = data.read(write(tmp_path / "c.csv", f"image,caption\n{rows}", "img/59.jpg"))
    assert [record.image.name for record in dataset.records] == ["59.jpg"]
    assert dataset.problems[0].startswith("missing images, left out: 59 (c.csv, line 2: 0.jpg;")


def test_a_lone_table_named_after_its_split_is_that_split(tmp_path: Path) -> None:
    dataset = data.read(write(tmp_path / "test.csv", "image,caption\na.jpg,x\n", "a.jpg"))
    assert dataset.records[0].split == "test"


def test_some_images_with_a_split_and_some_without_are_refused(tmp_path: Path) -> None:
    images = [
        {"filename": f"{n}.jpg", "split": split, "sentences": [{"raw": "x"}]} for n, split in enumerate(["val", ""])
    ]
    with pytest.raises(DataError, match=r"images\[1\]: 1\.jpg is in no split, but others are"):
        data.read(write(tmp_path / "dataset.json", json.dumps({"images": images}), "0.jpg", "1.jpg"))


def test_an_image_listed_under_two_ids_is_reported(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": "a.jpg"} for n in (1, 2)]
    annotations = [{"image_id": n, "caption": f"caption {n}"} for n in (1, 2)]
    folder = write(tmp_path / "captions_val.json", json.dumps({"images": images, "annotations": annotations}), "a.jpg")
    assert "images listed twice, merged: 1 (captions_val.json, images[1]: a.jpg)" in data.read(folder).problems


def test_an_uncaptioned_image_does_not_change_split_folders(tmp_path: Path) -> None:
    for name in ("train/a", "val/b"):
        write(tmp_path / f"{name}.txt", "x", f"{Path(name).name}.jpg")
    (tmp_path / "cover.jpg").touch()
    assert [record.split for record in data.read(tmp_path).records] == ["train", "val"]


BROKEN = [
    ("Flickr8k.token.txt", "a.jpg#0 a dog\n", r"line 1: expected NAME\.jpg#0, a tab"),
    ("c.csv", "image,caption,caption\na.jpg,x,y\n", "two columns 'caption'"),
    (
        "c.jsonl",
        '{"image": "a.jpg", "caption": "x", "caption": "y"}\n',
        "line 1 is not JSON: key 'caption' occurs twice",
    ),
    ("c.jsonl", '{"image": {"path": "a.jpg"}, "caption": "x"}\n', "line 1: expected the name of an image"),
    ("c.jsonl", '{"image": "a.jpg", "caption": ' + "[" * 100_000 + "\n", "line 1 is not JSON"),
    ("dataset.json", "[" * 100_000, "dataset.json is not JSON"),
    ("dataset.json", '{"images": [{"filename": 5, "split": "val", "sentences": []}]}', r"images\[0\]: "),
    ("dataset.json", '{"images": [{"filename": "a.jpg", "split": 5, "sentences": []}]}', r"images\[0\]: "),
    ("captions_val.json", '{"images": [{"id": 1, "file_name": null}], "annotations": []}', r"images\[0\]: "),
    ("captions_val.json", '{"images": [{"id": [], "file_name": "a.jpg"}], "annotations": []}', r"images\[0\]: "),
    ("captions_val.json", '{"images": [null], "annotations": []}', r"images\[0\]: "),
    ("captions_val.json", '{"images": [], "annotations": [{"image_id": 1}]}', "has no captions"),
    ("c.csv", f"image,caption\n{'x' * 300}.jpg,a dog\n", "none of the 1 images exists"),
    ("c.csv", "image,caption\na\0.jpg,a dog\n", "c.csv, line 2 has a null byte: save the file as UTF-8"),
    ("c.tsv", "image\tcaption\na.jpg\ta \0 dog\n", "c.tsv, line 2 has a null byte: save the file as UTF-8"),
    ("a.txt", "two boats\n".encode("utf-16-le"), "a.txt, line 1 has a null byte: save the file as UTF-8"),
    ("c.csv", b"\xff\xfea", "c.csv, line 1 is not UTF-16"),
]


@pytest.mark.parametrize(("name", "text", "problem"), BROKEN)
def test_broken_data_ends_with_one_line_and_exit_code_2(
    tmp_path: Path, name: str, text: str | bytes, problem: str
) -> None:
    folder = write(tmp_path / name, text, "a.jpg")
    with pytest.raises(DataError, match=problem):
        data.read(folder)
    result = CliRunner().invoke(main, ["data", str(folder)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.stderr


def test_null_captions_are_empty_and_invalid_characters_are_reported(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}]
    annotations = [{"image_id": 1, "caption": None}, {"image_id": 1, "caption": "a \ud800 dog \x1b[31m"}]
    folder = write(tmp_path / "captions_val.json", json.dumps({"images": images, "annotations": annotations}), "a.jpg")
    dataset = data.read(folder)
    assert dataset.records[0].references[0] == "a ? dog ?[31m"
    assert dataset.problems == (
        "empty captions, left out: 1 (captions_val.json, annotations[0])",
        "captions with invalid characters, replaced by ?: 1 (captions_val.json, annotations[1])",
    )
    assert CliRunner().invoke(main, ["data", str(folder)]).exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_file_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / f"{name}.jpg").touch()
    (tmp_path / f"{name}.txt").write_text("a dog", encoding="utf-8")
    (tmp_path / f"{name} alone.jpg").touch()
    dataset = data.read(tmp_path)
    assert dataset.records[0].image.name == f"{name}.jpg"
    result = CliRunner().invoke(main, ["data", str(tmp_path)])
    assert result.exit_code == 0
    assert "\\udce9 alone.jpg" in result.stdout


def test_an_unreadable_folder_is_skipped(tmp_path: Path) -> None:
    folder = write(tmp_path / "c.csv", "image,caption\na.jpg,x\n", "images/a.jpg")
    (folder / "closed").mkdir(mode=0)
    try:
        assert len(data.read(folder).records) == 1
    finally:
        (folder / "closed").chmod(0o700)
