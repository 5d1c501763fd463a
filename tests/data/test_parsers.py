"""Fuzzing: every file is read or refused with its name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import EXAMPLES
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from looksay import BundleError, DataError, data
from looksay.runtime.bundle import MODEL, Bundle
from looksay.runtime.hub import locate

FUZZ_EXAMPLES = int(os.environ.get("LOOKSAY_FUZZ", "400")) // 4
CAPTION = "two boats lie in the harbour"
FILES = {
    "captions.txt": f"image,caption\nboats.jpg,{CAPTION}\nalps.jpg,\"high, bright mountains\"\n",
    "captions.csv": f"image,caption,split\nboats.jpg,{CAPTION},train\nalps.jpg,mountains,val\n",
    "captions.tsv": f"image\tcaption\nboats.jpg\t{CAPTION}\n",
    "captions.jsonl": json.dumps({"image": "boats.jpg", "caption": CAPTION}) + "\n",
    "results.csv": f"image_name| comment_number| comment\nboats.jpg| 0| {CAPTION}\n",
    "dataset.json": json.dumps(
        {"images": [{"filename": "boats.jpg", "split": "train",
                     "sentences": [{"raw": CAPTION, "tokens": CAPTION.split()}]}]}
    ),
    "captions_train2014.json": json.dumps(
        {"images": [{"id": 1, "file_name": "boats.jpg"}], "annotations": [{"image_id": 1, "id": 2, "caption": CAPTION}]}
    ),
}  # fmt: skip


@st.composite
def mutants(draw: st.DrawFn, whole: str) -> bytes:
    """Return a text with parts removed, repeated or replaced."""
    text = bytearray(whole.encode())
    for _ in range(draw(st.integers(1, 4))):
        place, length = draw(st.integers(0, len(text))), draw(st.integers(0, 12))
        new = draw(
            st.one_of(
                st.binary(max_size=6), st.sampled_from([b"null", b"[]", b"{}", b"-1", b'"', b",", b"\n", b"\x00"])
            )
        )
        text[place : place + length] = new
    return bytes(text)


@pytest.mark.parametrize("name", FILES)
def test_captions_are_read_or_refused_by_the_name_of_their_file(name: str, tmp_path: Path) -> None:
    for photo in ("boats.jpg", "alps.jpg"):
        shutil.copy(EXAMPLES / photo, tmp_path)

    @settings(max_examples=FUZZ_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @example(FILES[name].encode())
    @given(mutants(FILES[name]))
    def reads(text: bytes) -> None:
        (tmp_path / name).write_bytes(text)
        try:
            records = data.read(tmp_path).records
        except DataError as error:
            assert str(tmp_path) in str(error) or name in str(error)
        else:
            assert all(record.image.is_file() for record in records)

    reads()


def test_a_model_is_opened_or_refused_by_its_name(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(locate(), tmp_path / "model"))
    whole = (folder / MODEL).read_text(encoding="utf-8")
    words = len(Bundle.open(folder).vocabulary)

    @settings(max_examples=FUZZ_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(mutants(whole))
    def opens(text: bytes) -> None:
        (folder / MODEL).write_bytes(text)
        try:
            assert len(Bundle.open(folder).vocabulary) == words
        except BundleError as error:
            assert str(folder) in str(error)

    opens()
