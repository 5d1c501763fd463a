"""The captions that were written for the shipped model are as many as their README tells, each photo once."""

from __future__ import annotations

import json
import re

import pytest
from conftest import ROOT

FOLDER = ROOT / "benchmarks" / "captions"
ROWS = re.findall(
    r"^\| `(\S+)` \| ([\d,]+) .* \| (\d) \|$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_all_files_are_in_the_table() -> None:
    assert sorted(name for name, _, _ in ROWS) == sorted(file.name for file in FOLDER.glob("*.jsonl"))


@pytest.mark.parametrize(("name", "photos", "captions"), ROWS)
def test_a_photo_has_its_captions(name: str, photos: str, captions: str) -> None:
    rows = [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]
    assert len({row["image"] for row in rows}) == len(rows) == int(photos.replace(",", ""))
    for row in rows:
        assert len(set(row["captions"])) == int(captions), row["image"]
        assert all(4 <= len(caption.split()) <= 16 and caption.isascii() for caption in row["captions"]), row["image"]
