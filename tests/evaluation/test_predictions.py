"""Captions of other systems, matched with the images of a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from looksay import DataError
from looksay.data import Dataset, Record
from looksay.evaluation import predictions

FOLDER = Path("/nowhere/coco")
RECORDS = (
    Record(FOLDER / "val2014" / "COCO_val2014_000000000042.jpg", ("a dog",), "val", "42"),
    Record(FOLDER / "val2014" / "COCO_val2014_000000000073.jpg", ("a cat",), "val", "73"),
    Record(FOLDER / "train2014" / "plain name.jpg", ("a boat",), "train", "7"),
)
DATASET = Dataset(FOLDER, "COCO", RECORDS)


def read(tmp_path: Path, name: str, text: str, split: str = "all") -> predictions.Predictions:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return predictions.read(file, DATASET, split)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.json", '[{"image_id": 42, "caption": "x"}, {"image_id": 7, "caption": "y"}]'),
        ("r.json", '{"COCO_val2014_000000000042.jpg": "x", "plain name": ["y"]}'),
        ("r.json", '[{"image_id": "42", "caption": "x", "id": 0}, {"image_id": "plain name.jpg", "caption": "y"}]'),
        ("r.jsonl", '{"image": "val2014/COCO_val2014_000000000042.jpg", "caption": "x", "log_prob": -3}\n'
                    '{"image": "/nowhere/coco/train2014/plain name.jpg", "caption": "y"}\n'),
        ("r.jsonl", '{"image": "../else/COCO_val2014_000000000042.jpg", "caption": "x"}\n'
                    '{"image": "73", "error": "broken"}\n{"image": "7", "caption": "y"}\n'),
        ("r.json", '[{"image_id": 42.0, "caption": "x"}, {"image_id": "000000000007", "caption": "y"}]'),
        ("r.csv", "image_id,caption\n42.0,x\n7.0,y\n"),
        ("r.csv", "image,caption,log_prob,error\n42,x,-1,\nplain name.jpg,y,-2,\n73,,,broken\n"),
        ("r.tsv", "image_id\tprediction\n42\tx\n7\ty\n"),
        ("r.txt", "COCO_val2014_000000000042.jpg#0\tx\nplain name.jpg#0\ty\n"),
    ],
)  # fmt: skip
def test_images_are_matched_by_path_name_stem_or_number(tmp_path: Path, name: str, text: str) -> None:
    matched = read(tmp_path, name, text)
    assert [(record.id, caption) for record, caption in zip(matched.records, matched.captions, strict=True)] == [
        ("42", "x"),
        ("7", "y"),
    ]
    assert matched.problems[-1] == "images of the split without a caption, not scored: 1 of 3"


def test_accents_are_matched_however_they_are_written(tmp_path: Path) -> None:
    """macOS decomposes the letters of file names."""
    composed, decomposed = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.jpg", "cafe\N{COMBINING ACUTE ACCENT}.jpg"
    for own, other in ((composed, decomposed), (decomposed, composed)):
        dataset = Dataset(FOLDER, "table", (Record(FOLDER / own, ("a dog",), "val"),))
        (tmp_path / "r.json").write_text(json.dumps({other: "x"}), encoding="utf-8")
        assert predictions.read(tmp_path / "r.json", dataset, "val").captions == ["x"]


def test_an_empty_caption_is_scored_as_one(tmp_path: Path) -> None:
    assert read(tmp_path, "r.csv", 'image,caption\n42,""\n').captions == [""]


def test_the_same_caption_may_occur_twice_but_not_two_captions_of_an_image(tmp_path: Path) -> None:
    """Evaluation on several devices pads the last batch, so that some images are captioned twice."""
    rows: list[dict[str, Any]] = [
        {"image_id": 42, "caption": "x"},
        {"image_id": 73, "caption": "y"},
        {"image_id": "42", "caption": "x"},
    ]
    assert read(tmp_path, "r.json", json.dumps(rows)).captions == ["x", "y"]
    rows[2]["caption"] = "z"
    with pytest.raises(DataError, match=r"42 has a second caption; keep one"):
        read(tmp_path, "r.json", json.dumps(rows))


def test_of_several_captions_that_looksay_wrote_the_best_is_scored(tmp_path: Path) -> None:
    """``looksay caption --num-captions 2 --format csv`` writes a row for each, the best first."""
    rows = [
        "image,caption,log_prob,error,sha256,made_by",
        *(f"42,{c},-1,,0,looksay-wider@1" for c in "xz"),
        "7,y,-1,,0,l",
    ]
    assert read(tmp_path, "r.csv", "\n".join(rows)).captions == ["x", "y"]


def test_unmatched_captions_and_images_are_counted(tmp_path: Path) -> None:
    rows: list[Any] = [{"image_id": number, "caption": "x"} for number in (42, 7, 1000, 1001)]
    matched = read(tmp_path, "r.json", json.dumps(rows), "val")
    assert [record.id for record in matched.records] == ["42"]
    assert matched.problems == [
        "captions of images that are not in the references, not scored: 2 (r.json, [2]: 1000; r.json, [3]: 1001)",
        "captions of other splits, not scored: 1",
        "images of the split without a caption, not scored: 1 of 2",
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("r.json", '[{"image_id": 42, "caption": "x"}, {"image_id": 42, "caption": "y"}]', r"\[1\]: 42 has a second"),
        ("r.json", '[{"image_id": 42}]', r"r\.json: no column of captions .*call it caption, or name"),
        ("r.json", '[{"caption": "x"}]', r"r\.json: no column of images"),
        ("r.json", '["x"]', r"r\.json, \[0\]: expected"),
        ("r.json", "[]", r"r\.json has no rows"),
        ("r.json", '{"annotations": [{"image_id": 42, "caption": "x"}]}', r"expected a caption"),
        ("r.json", "3", r"r\.json: expected a list"),
        ("r.json", "[", r"r\.json is not JSON"),
        ("r.csv", "image,caption\n,x\n", r"no caption is of an image"),
        ("r.json", '[{"image_id": 1, "caption": "x"}]', r"no caption is of an image .*r\.json, \[0\]: 1"),
        ("r.jsonl", '{"image": "42", "captions": ["x", "y"]}', r"r\.jsonl, line 1: 2 captions; keep one caption"),
        ("r.xlsx", "x", r"r\.xlsx is an Excel workbook"),
        ("r.doc", "x", r"captions are scored from \.csv"),
    ],
)  # fmt: skip
def test_broken_files_are_refused_with_their_row(tmp_path: Path, name: str, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read(tmp_path, name, text)


def test_the_data_sets_own_ids_come_before_numbers_in_file_names(tmp_path: Path) -> None:
    """In this data set the file 1.jpg is image 0, and so on: numbers in names must not be taken for ids."""
    records = tuple(Record(FOLDER / f"{n + 1}.jpg", (f"image {n}",), "val", str(n)) for n in range(6))
    file = tmp_path / "r.json"
    file.write_text(json.dumps([{"image_id": n, "caption": str(n)} for n in range(2, 6)]), encoding="utf-8")
    matched = predictions.read(file, Dataset(FOLDER, "", records), "all")
    assert [record.id for record in matched.records] == matched.captions == ["2", "3", "4", "5"]


def test_row_numbers_do_not_match_hex_digits_at_the_end_of_flickrs_names(tmp_path: Path) -> None:
    records = (Record(FOLDER / "100_ab1.jpg", ("a",), "val"), Record(FOLDER / "200_cd2.jpg", ("b",), "val"))
    file = tmp_path / "r.json"
    file.write_text('[{"image_id": 1, "caption": "x"}]', encoding="utf-8")
    with pytest.raises(DataError, match="no caption is of an image"):
        predictions.read(file, Dataset(FOLDER, "", records), "all")


def test_a_match_by_file_name_in_another_folder_is_reported(tmp_path: Path) -> None:
    records = (Record(FOLDER / "dogs" / "1.jpg", ("a",), "val"), Record(FOLDER / "dogs" / "2.jpg", ("b",), "val"))
    file = tmp_path / "r.json"
    file.write_text('{"elsewhere/coco/dogs/1.jpg": "x", "cats/2.jpg": "y"}', encoding="utf-8")
    matched = predictions.read(file, Dataset(FOLDER, "", records), "all")
    assert matched.problems == ["captions whose image was matched by its file name only: 1 (r.json, [1]: cats/2.jpg)"]


def test_a_column_of_predictions_wins_over_others_and_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text("image,caption,prediction,mine\n42,theirs,ours,other\n", encoding="utf-8")
    assert predictions.read(file, DATASET, "all").captions == ["ours"]
    assert predictions.read(file, DATASET, "all", "mine").captions == ["other"]


def test_an_ambiguous_name_is_refused_and_a_path_is_not(tmp_path: Path) -> None:
    records = tuple(Record(FOLDER / split / "1.jpg", ("a",), split) for split in ("train", "val"))
    file = tmp_path / "r.json"
    file.write_text('{"1.jpg": "x"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"1\.jpg is the name of several images"):
        predictions.read(file, Dataset(FOLDER, "", records), "all")
    file.write_text('{"val/1.jpg": "x"}', encoding="utf-8")
    assert predictions.read(file, Dataset(FOLDER, "", records), "all").records == [records[1]]
    with pytest.raises(DataError, match="no such file"):
        predictions.read(tmp_path / "none.json", Dataset(FOLDER, "", records), "all")
