"""COCO's and Karpathy's own files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from looksay import DataError, data


def write(file: Path, content: Any, *images: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    for image in images:
        (file.parent / image).parent.mkdir(parents=True, exist_ok=True)
        (file.parent / image).touch()
    return file.parent


def coco(*names: str) -> dict[str, Any]:
    return {
        "images": [{"id": int(name[:-4]), "file_name": name} for name in names],
        "annotations": [
            {"image_id": int(name[:-4]), "caption": f"{k} of {name}\n"} for name in names for k in range(5)
        ],
    }


def test_coco_has_a_file_and_a_folder_for_each_split(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "captions_train2017.json", coco("0001.jpg"), "../train2017/0001.jpg")
    write(tmp_path / "annotations" / "captions_val2017.json", coco("0002.jpg"), "../images/val2017/0002.jpg")
    (tmp_path / "annotations" / "instances_val2017.json").write_text("not read", encoding="utf-8")
    dataset = data.read(tmp_path)
    assert dataset.layout == "COCO captions captions_train2017.json, captions_val2017.json"
    assert [(r.image, r.split, r.id, len(r.references)) for r in dataset.records] == [
        (tmp_path / "train2017" / "0001.jpg", "train", "1", 5),
        (tmp_path / "images" / "val2017" / "0002.jpg", "val", "2", 5),
    ]
    assert dataset.records[0].references[0] == "0 of 0001.jpg"
    one = data.read(tmp_path / "annotations" / "captions_val2017.json")
    assert [record.image for record in one.records] == [tmp_path / "images" / "val2017" / "0002.jpg"]


def test_two_years_of_coco_are_an_error_that_names_them(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "captions_val2014.json", coco("1.jpg"))
    write(tmp_path / "annotations" / "captions_val2017.json", coco("1.jpg"))
    with pytest.raises(DataError, match=r"the splits of captions_val2014\.json, captions_val2017\.json are ambiguous"):
        data.read(tmp_path)


def test_broken_coco_is_counted_or_refused_with_its_place(tmp_path: Path) -> None:
    content = coco("1.jpg", "2.jpg")
    content["images"].append({"id": 2, "file_name": "2.jpg"})
    content["images"].append({"id": 3, "file_name": "3.jpg"})
    content["annotations"].append({"image_id": 9, "caption": "lost"})
    folder = write(tmp_path / "captions_val.json", content, "1.jpg", "2.jpg")
    problems = data.read(folder).problems
    assert "captions without an image, left out: 1 (captions_val.json, annotations[10]: image_id 9)" in problems
    assert "images listed twice: 1 (captions_val.json, images[2]: id 2)" in problems
    assert "images listed without a caption, left out: 1 (captions_val.json, images[3]: 3.jpg)" in problems
    del content["annotations"][3]["caption"]
    write(tmp_path / "captions_val.json", content)
    with pytest.raises(DataError, match=r"captions_val\.json, annotations\[3\]: missing .*: 'caption'"):
        data.read(folder)
    for broken in (["a"], {"images": 1}):
        write(tmp_path / "captions_val.json", broken)
        with pytest.raises(DataError, match=r"captions_val\.json: expected"):
            data.read(folder)
    (tmp_path / "captions_val.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"captions_val\.json is not JSON"):
        data.read(folder)


@pytest.mark.parametrize(
    ("image_id", "annotation_id"), [(42, "42"), ("42", 42), (42, "000000000042"), ("000000000042", 42.0), (42.0, 42)]
)
def test_ids_are_matched_as_numbers_or_texts(tmp_path: Path, image_id: Any, annotation_id: Any) -> None:
    content = {
        "images": [{"id": image_id, "file_name": "a.jpg"}, {"id": "x", "file_name": "b.jpg"}],
        "annotations": [{"image_id": annotation_id, "caption": "a dog"}, {"image_id": "x", "caption": "a cat"}],
    }
    dataset = data.read(write(tmp_path / "captions_val.json", content, "a.jpg", "b.jpg"))
    assert [(r.image.name, r.references) for r in dataset.records] == [("a.jpg", ("a dog",)), ("b.jpg", ("a cat",))]
    assert dataset.problems == ()


def test_text_ids_that_differ_in_zeros_alone_are_two_images(tmp_path: Path) -> None:
    content = {
        "images": [{"id": "1", "file_name": "a.jpg"}, {"id": "01", "file_name": "b.jpg"}],
        "annotations": [{"image_id": text, "caption": f"id {text}"} for text in ("01", "1", "001")],
    }
    dataset = data.read(write(tmp_path / "captions_val.json", content, "a.jpg", "b.jpg"))
    assert [record.references for record in dataset.records] == [("id 1",), ("id 01",)]
    assert (
        "captions without an image, left out: 1 (captions_val.json, annotations[2]: image_id 001)" in dataset.problems
    )


def karpathy(**image: Any) -> dict[str, Any]:
    return {"images": [{"split": "train", "imgid": 0, "sentences": [{"raw": "A dog ."}, {"raw": "Dogs"}], **image}]}


def test_karpathys_coco_counts_restval_as_train_and_has_cocos_ids(tmp_path: Path) -> None:
    content = karpathy(filepath="val2014", filename="COCO_val2014_000000391895.jpg", cocoid=391895, split="restval")
    folder = write(tmp_path / "dataset_coco.json", content, "images/val2014/COCO_val2014_000000391895.jpg")
    (record,) = data.read(folder).records
    assert (record.split, record.id, record.references) == ("train", "391895", ("A dog .", "Dogs"))
    assert record.image == tmp_path / "images" / "val2014" / "COCO_val2014_000000391895.jpg"


def test_karpathys_flickr8k_has_no_cocoid_and_its_images_may_be_in_one_folder(tmp_path: Path) -> None:
    content = karpathy(filename="1.jpg", split="val") | {"dataset": "flickr8k"}
    folder = write(tmp_path / "dataset_flickr8k.json", content, "Flicker8k_Dataset/1.jpg")
    (record,) = data.read(folder).records
    assert (record.split, record.id, record.image.is_file()) == ("val", "0", True)
    (flat,) = data.read(
        write(tmp_path / "b" / "dataset.json", karpathy(filepath="x", filename="1.jpg"), "1.jpg")
    ).records
    assert flat.image == tmp_path / "b" / "1.jpg"


def test_broken_karpathy_files_are_refused_with_their_place(tmp_path: Path) -> None:
    write(tmp_path / "dataset.json", karpathy())
    with pytest.raises(DataError, match=r"dataset\.json, images\[0\]: missing .*: 'filename'"):
        data.read(tmp_path)
    write(tmp_path / "dataset_b.json", karpathy())
    with pytest.raises(DataError, match=r"several data sets: dataset\.json, dataset_b\.json"):
        data.read(tmp_path)


def test_the_same_flickr8k_is_read_from_each_of_its_layouts(flickr8k: Path) -> None:
    original = {r.image: (set(r.references), r.split) for r in data.read(flickr8k).records}
    from_karpathy = {
        r.image: (set(r.references), r.split) for r in data.read(flickr8k / "dataset_flickr8k.json").records
    }
    assert from_karpathy.keys() == original.keys()
    assert all(from_karpathy[image][1] == original[image][1] for image in original)
    kaggle = {r.image: set(r.references) for r in data.read(flickr8k / "captions.txt").records}
    assert kaggle == {image: captions for image, (captions, _) in original.items()}
