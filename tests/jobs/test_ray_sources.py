"""Blocks of images in folders, Parquet files and tars."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from looksay.errors import JobError
from looksay.jobs import ray_sources
from looksay.jobs.ray_sources import blocks


def test_every_image_is_in_one_block_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_sources, "BLOCK", 2)
    for name in ("a/2.jpg", "a/1.jpg", "a/b/3.jpg", "4.jpg", "5.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    folder_blocks = list(blocks([str(tmp_path)]))
    assert [len(block.paths) for block in folder_blocks] == [2, 2, 1]
    images = [image for block in folder_blocks for image in block.images()]
    assert [Path(image.name).relative_to(tmp_path).as_posix() for image in images] == [
        "4.jpg", "5.png", "a/1.jpg", "a/2.jpg", "a/b/3.jpg",
    ]  # fmt: skip
    assert images[0].data == b"4.jpg"
    by_uri = [image.data for block in blocks([tmp_path.as_uri()]) for image in block.images()]
    assert by_uri == [image.data for image in images]
    (tmp_path / "a" / "sp ace %20#?.jpg").write_bytes(b"special characters")
    by_uri = [image.data for block in blocks([tmp_path.as_uri()]) for image in block.images()]
    assert b"special characters" in by_uri
    (tmp_path / "0.jpg").touch()
    assert not {block.name for block in folder_blocks} & {block.name for block in blocks([str(tmp_path)])}
    assert next(blocks([str(tmp_path)], exclude=str(tmp_path / "a"))).paths[0].endswith("0.jpg")
    with pytest.raises(JobError, match="there is no"):
        list(blocks([str(tmp_path / "none")]))


def test_parquet_columns_of_hugging_face_and_others_are_recognised(tmp_path: Path) -> None:
    structs = [{"bytes": b"one", "path": "1.jpg"}, {"bytes": None, "path": "2.jpg"}]
    pyarrow.parquet.write_table(pyarrow.table({"image": structs}), tmp_path / "a.parquet", row_group_size=1)
    pyarrow.parquet.write_table(pyarrow.table({"key": ["k"], "jpg": [b"three"]}), tmp_path / "b.parquet")
    parquet_blocks = list(blocks([str(tmp_path)]))
    assert len(parquet_blocks) == 3
    images = [image for block in parquet_blocks for image in block.images()]
    assert [(image.name, image.data) for image in images if isinstance(image.data, bytes)] == [
        ("1.jpg", b"one"), ("k", b"three"),
    ]  # fmt: skip
    assert str(images[1].data) == "the row has no bytes"
    pyarrow.parquet.write_table(pyarrow.table({"words": ["k"]}), tmp_path / "b.parquet")
    image = list(list(blocks([str(tmp_path)]))[-1].images())[-1]
    assert image.name == str(tmp_path / "b.parquet")
    assert re.match("has no column of images .*; it has words", str(image.data))
    (tmp_path / "b.parquet").write_bytes(b"no Parquet")
    image = list(list(blocks([str(tmp_path)]))[-1].images())[-1]
    assert (image.name, type(image.data)) == (str(tmp_path / "b.parquet"), ValueError)
