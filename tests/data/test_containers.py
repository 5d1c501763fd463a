"""Parquet files and WebDataset tars: their images and captions are read as those of any other data set."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import EXAMPLES

from looksay import DataError, data, images
from looksay.data import ReadOptions
from looksay.evaluation import predictions

BOATS, ALPS = ((EXAMPLES / name).read_bytes() for name in ("boats.jpg", "alps.jpg"))


def write_parquet(file: Path, **columns: Sequence[object]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file


def write_tar(file: Path, **members: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def rows(dataset: data.Dataset) -> list[tuple[str, tuple[str, ...], str]]:
    return [(record.image.name, record.references, record.split) for record in dataset.records]


def test_a_folder_of_the_hub_has_splits_and_shards(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    image = {"bytes": BOATS, "path": "boats.jpg"}
    write_parquet(folder / "data" / "train-00000-of-00002.parquet", image=[image], caption=[["two boats", "a harbour"]])
    write_parquet(
        folder / "data" / "train-00001-of-00002.parquet", image=[{"bytes": ALPS, "path": None}], caption=[["alps"]]
    )
    write_parquet(folder / "data" / "test-00000-of-00001.parquet", image=[image], caption=[["boats"]])
    dataset = data.read(folder)
    assert rows(dataset) == [
        ("boats.jpg", ("boats",), "test"),
        ("boats.jpg", ("two boats", "a harbour"), "train"),
        ("00000000.jpg", ("alps",), "train"),
    ]
    assert dataset.folder == folder
    assert "columns image, caption" in dataset.layout
    assert images.read(dataset.records[2].image).size == images.read(ALPS).size
    assert dataset == data.read(folder)


def test_a_parquet_file_has_bytes_in_any_column_and_a_row_a_caption(tmp_path: Path) -> None:
    file = write_parquet(
        tmp_path / "x.parquet", jpg=[BOATS, BOATS, ALPS], text=["a", "b", None], filename=["1.jpg", "1.jpg", "2.jpg"]
    )
    dataset = data.read(file, ReadOptions(image_column="jpg", split_seed=1))
    assert [row[:2] for row in rows(dataset)] == [("1.jpg", ("a", "b"))]
    problem = "images listed without a caption, left out: 1 (x.parquet, row 3: x.parquet/2.jpg)"
    assert dataset.problems == (problem,)
    assert dataset.layout.startswith("table x.parquet, columns image, text")


def test_rows_without_an_image_are_counted(tmp_path: Path) -> None:
    """A data set whose download lost images would otherwise shrink in silence."""
    images_ = [{"bytes": content, "path": None} for content in (BOATS, None, ALPS)]
    dataset = data.read(write_parquet(tmp_path / "x.parquet", image=[*images_, None], caption=["a", "b", "c", "d"]))
    assert [record.references for record in dataset.records] == [("a",), ("c",)]
    assert dataset.problems == ("captions without an image, left out: 2 (x.parquet, row 2; x.parquet, row 4)",)
    tar = write_tar(tmp_path / "x.tar", a_jpg=BOATS, a_txt=b"a", sub__b_txt=b"b", c_bin=b"")
    assert data.read(tar).problems == ("captions without an image, left out: 1 (x.tar, sub/b)",)


def test_errors_name_the_container_and_not_its_table_in_the_cache(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "x.parquet", image=[{"bytes": BOATS, "path": "a.jpg"}], label=[3])
    with pytest.raises(DataError, match=rf"^{file}: no column of captions among image, label"):
        data.read(file)
    file = write_parquet(tmp_path / "y.parquet", image=[{"bytes": BOATS, "path": "a.jpg"}], caption=[3])
    with pytest.raises(DataError, match=r"^y\.parquet, row 1: expected a caption"):
        data.read(file)


def test_other_images_of_one_name_are_kept_apart_and_names_cannot_leave_the_cache(tmp_path: Path) -> None:
    names = ["../../evil.jpg", "/etc/evil.jpg", ".."]
    images_ = [{"bytes": content, "path": name} for content, name in zip((BOATS, ALPS, ALPS), names, strict=True)]
    dataset = data.read(write_parquet(tmp_path / "x.parquet", image=images_, caption=["a", "b", "c"]))
    assert [record.image.name for record in dataset.records] == ["evil.jpg", "00000001-evil.jpg", "00000002.jpg"]
    assert all(record.image.is_relative_to(tmp_path / "cache") for record in dataset.records)


def test_a_parquet_table_without_images_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jpg").touch()
    write_parquet(tmp_path / "train" / "metadata.parquet", file_name=["a.jpg"], text=["a dog"])
    dataset = data.read(tmp_path)
    assert rows(dataset) == [("a.jpg", ("a dog",), "train")]
    scored = write_parquet(tmp_path / "part.parquet", image=["a.jpg"], caption=["a cat"])
    assert predictions.read(scored, dataset, "all").captions == ["a cat"]


def test_tars_of_webdataset_have_captions_in_txt_and_json_members(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "set" / "train-000000.tar",
        x__1_jpg=BOATS,
        x__1_txt=b"two boats\n",
        x__1_json=b'{"caption": "no", "w": 3}',
    )
    write_tar(tmp_path / "set" / "train-000001.tar", x__2_json=json.dumps({"caption": "alps"}).encode(), x__2_jpg=ALPS)
    write_tar(tmp_path / "set" / "val-000000.tar", y__3_seg_png=b"", y__3_jpg=ALPS, y__3_txt=b"Berge\nhigh alps")
    assert rows(data.read(tmp_path / "set")) == [
        ("1.jpg", ("two boats",), "train"),
        ("2.jpg", ("alps",), "train"),
        ("3.jpg", ("Berge", "high alps"), "val"),
    ]


def test_broken_containers_are_refused_by_their_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.tar is broken: no image has a \.txt or \.json"):
        data.read(write_tar(tmp_path / "a.tar", x_jpg=BOATS))
    with pytest.raises(DataError, match=r"b\.tar, x\.json is not JSON"):
        data.read(write_tar(tmp_path / "b.tar", x_jpg=BOATS, x_json=b"{"))
    for name, problem in (("c.tar", "c.tar is broken"), ("c.parquet", "c.parquet is not a Parquet file")):
        (tmp_path / name).write_bytes(b"no such thing")
        with pytest.raises(DataError, match=problem):
            data.read(tmp_path / name)


@pytest.mark.parametrize("columns", [{"image": [BOATS] * 9}, {"image": ["a.jpg"] * 900}])
def test_a_damaged_page_is_no_error_of_the_cache(tmp_path: Path, columns: dict[str, Sequence[object]]) -> None:
    file = write_parquet(
        tmp_path / "a.parquet", **columns, caption=[f"{number} dogs" for number in range(len(columns["image"]))]
    )
    content = bytearray(file.read_bytes())
    content[4:60] = b"\xff" * 56
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet is broken"):
        data.read(file)
