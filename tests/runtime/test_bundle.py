"""A bundle that is incomplete, altered or of another format is refused with what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from looksay import BundleError
from looksay.decoding.options import DecodingOptions
from looksay.runtime.bundle import FORMAT, MODEL, Bundle, seal
from looksay.runtime.hub import locate
from looksay.types import ImageSpec, ModelSpec


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(locate(), tmp_path / "model"))


def test_the_shipped_bundle_is_complete_and_fits_in_the_wheel() -> None:
    bundle = Bundle.open(locate())
    assert (bundle.folder / "CARD.md").is_file()
    assert set(bundle.spec.files) == {path.name for path in bundle.folder.iterdir()} - {"model.json"}
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) <= 32 * 2**20


def test_a_spec_survives_json() -> None:
    spec = ModelSpec(
        "name",
        "resnet50",
        "top-down",
        ImageSpec(size=240),
        (8, 8),
        DecodingOptions(num_beams=5),
        scores={"CIDEr-D": 0.5},
    )
    data = json.loads(json.dumps(spec.to_json()))
    newer = {**data, "new": 1, "image": {**data["image"], "new": 1}, "decoding": {**data["decoding"], "new": 1}}
    assert ModelSpec.from_json(newer) == spec


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "vocabulary.json"])
def test_a_missing_or_altered_file_is_named(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=f"{name} is damaged"):
        Bundle.open(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"has no {name}"):
        Bundle.open(copy)


def test_a_folder_without_a_valid_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="looksay export"):
        Bundle.open(tmp_path)
    good = {"format": FORMAT} | ModelSpec("name", "resnet50", "top-down", ImageSpec(), (7, 7)).to_json()
    bad = [{**good, "files": 3}, {**good, "grid": 3}, {**good, "decoding": []}, {**good, "format": "x"}]
    fields = [("size", 10**6), ("interpolation", "lanczos"), ("channels", "xyz"), ("resize", "xyz"), ("mean", [1])]
    bad += [{**good, "image": {**good["image"], key: value}} for key, value in fields]
    for text in ("{", "[]", *map(json.dumps, bad)):
        (tmp_path / "model.json").write_text(text, encoding="utf-8")
        with pytest.raises(BundleError, match=r"model\.json cannot be read.*export the model again"):
            Bundle.open(tmp_path)


def test_sealing_again_accepts_an_intended_change(copy: Path) -> None:
    (copy / "vocabulary.json").write_text((copy / "vocabulary.json").read_text() + "\n", encoding="utf-8")
    with pytest.raises(BundleError):
        Bundle.open(copy)
    seal(copy, ModelSpec.from_json(json.loads((copy / "model.json").read_text())))
    assert Bundle.open(copy).folder == copy


@pytest.mark.parametrize(
    ("made_with", "message"),
    [
        (FORMAT + 1, "requires a newer looksay: pip install --upgrade looksay"),
        (FORMAT - 1, "was made by an older looksay; export its run again"),
        (None, "was made by an older looksay; export its run again"),
    ],
)
def test_a_bundle_of_another_format_is_refused(copy: Path, made_with: int | None, message: str) -> None:
    description = json.loads((copy / MODEL).read_text(encoding="utf-8")) | {"format": made_with}
    if made_with is None:
        del description["format"]
    (copy / MODEL).write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(BundleError, match=message):
        Bundle.open(copy)
