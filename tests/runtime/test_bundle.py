"""Who copies a model folder wants to know when a file was lost or altered on the way."""

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


def test_the_shipped_bundle_is_whole_and_fits_in_the_wheel() -> None:
    bundle = Bundle.open(locate())
    assert (bundle.folder / "CARD.md").is_file()
    assert set(bundle.spec.files) == {path.name for path in bundle.folder.iterdir()} - {"model.json"}
    assert sum(path.stat().st_size for path in bundle.folder.iterdir()) <= 25 * 2**20


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
    newer = {**data, "new": 1, "image": {**data["image"], "new": 1}, "search": {**data["search"], "new": 1}}
    assert ModelSpec.from_json(newer) == spec


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx", "vocabulary.json"])
def test_a_lost_or_altered_file_is_named(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=f"{name} is damaged"):
        Bundle.open(copy)
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"has no {name}"):
        Bundle.open(copy)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="looksay export"):
        Bundle.open(tmp_path)
    good = ModelSpec("name", "resnet50", "top-down", ImageSpec(), (7, 7)).to_json()
    bad = [{**good, "files": 3}, {**good, "grid": 3}, {**good, "search": []}]
    odd = [("size", 10**6), ("interpolation", "lanczos"), ("channels", "xyz"), ("resize", "xyz"), ("mean", [1])]
    bad += [{**good, "image": {**good["image"], key: value}} for key, value in odd]
    for text in ("{", "[]", "{}", '{"image": 3}', *map(json.dumps, bad)):
        (tmp_path / "model.json").write_text(text, encoding="utf-8")
        with pytest.raises(BundleError, match=r"model\.json cannot be understood"):
            Bundle.open(tmp_path)


def test_sealing_again_accepts_a_change_made_on_purpose(copy: Path) -> None:
    (copy / "vocabulary.json").write_text((copy / "vocabulary.json").read_text() + "\n", encoding="utf-8")
    with pytest.raises(BundleError):
        Bundle.open(copy)
    seal(copy, ModelSpec.from_json(json.loads((copy / "model.json").read_text())))
    assert Bundle.open(copy).folder == copy


def test_a_bundle_of_a_later_format_is_refused_with_what_to_do(copy: Path) -> None:
    file = copy / MODEL
    told = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(told | {"format": FORMAT + 1}), encoding="utf-8")
    with pytest.raises(BundleError, match="of a newer looksay: pip install --upgrade looksay"):
        Bundle.open(copy)
