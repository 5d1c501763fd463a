"""Who exports a run wants the same captioner, in a folder that runs anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import EXAMPLES, PHOTOS, ROOT, SAID, TINY, write_flickr8k

import looksay
from looksay.export import export, parity
from looksay.runtime.bundle import Bundle
from looksay.text.tokenizer import tokenize
from looksay.training import build, run, run_loader


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_model_that_learned_four_photos_by_heart_says_them_back_through_its_bundle(
    small_bundle: Path, beam: int
) -> None:
    captioner = looksay.load(small_bundle)
    said = {photo: captioner(EXAMPLES / photo, num_beams=beam) for photo in PHOTOS}
    assert {photo: list(caption.tokens) for photo, caption in said.items()} == {
        photo: tokenize(caption) for photo, caption in SAID.items()
    }
    assert said["alps.jpg"].text == "the valley's dark firs stand below high bright mountains"


def test_the_bundle_carries_what_was_measured_and_how_to_prepare_images(small_bundle: Path) -> None:
    spec = Bundle.open(small_bundle).spec
    assert spec.scores["split"] == "val"
    assert spec.scores["images"] == 4
    assert spec.scores["BLEU-4"] == pytest.approx(1, abs=1e-3)
    assert (spec.image.size, spec.grid) == (64, (2, 2))
    assert set(spec.files) == {"encoder.onnx", "decoder.onnx", "vocabulary.json", "CARD.md"}
    card = (small_bundle / "CARD.md").read_text(encoding="utf-8")
    assert "4 of 4 captions are the same" in card
    assert spec.licence in card
    assert str(small_bundle.parent.parent) not in card


def test_the_bundle_names_no_file_of_the_makers_machine(small_bundle: Path) -> None:
    for file in small_bundle.iterdir():
        for trace in (b"stack_trace", b"graphs.py", str(ROOT).encode()):
            assert trace not in file.read_bytes(), file.name


def test_int8_is_smaller_and_still_knows_its_photos(small_run: Path, small_bundle: Path, tmp_path: Path) -> None:
    small = export.export(small_run, tmp_path / "int8", int8=True).folder
    size = {folder: sum(file.stat().st_size for file in folder.iterdir()) for folder in (small, small_bundle)}
    assert size[small] < 0.65 * size[small_bundle]
    captioner = looksay.load(small)
    assert [list(captioner(EXAMPLES / photo).tokens) for photo in PHOTOS] == [tokenize(SAID[p]) for p in PHOTOS]


def test_export_refuses_a_model_that_says_something_else(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(folder: Path) -> run_loader.Run:
        run = original(folder)
        # The exporter reads the weights before the check does: alter them in between.
        real = parity.compare

        def compare(model, captioner, paths):  # type: ignore[no-untyped-def]
            model.decoder.output_head[-1].bias.data += 3 * torch.randn(len(run.vocabulary))
            return real(model, captioner, paths)

        monkeypatch.setattr(parity, "compare", compare)
        return run

    original = run_loader.load
    monkeypatch.setattr(run_loader, "load", altered)
    with pytest.raises(looksay.ParityError, match=r"was not exported: .* trained: .* exported: "):
        export.export(small_run, tmp_path / "bundle")
    assert list(tmp_path.glob("*bundle*")) == []


def test_export_does_not_overwrite_and_says_what_is_missing(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(looksay.RunError, match="exists already"):
        export.export(small_run, tmp_path)
    with pytest.raises(looksay.RunError, match="not a run"):
        export.export(tmp_path, tmp_path / "bundle")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.toml").write_text("", encoding="utf-8")
    with pytest.raises(looksay.RunError, match="not completed an epoch"):
        export.export(tmp_path / "begun", tmp_path / "bundle")


def test_model_json_is_plain_json(small_bundle: Path) -> None:
    model = json.loads((small_bundle / "model.json").read_text(encoding="utf-8"))
    assert model["image"]["resize"] == "squash"
    assert model["search"]["num_beams"] == 3


def test_a_fine_tuned_encoder_is_exported_too(tmp_path: Path) -> None:
    from looksay.training import recipe_file

    data = write_flickr8k(tmp_path / "data")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("", encoding="utf-8")
    changes = (*TINY, f"data.folder={data}", f"training.run={tmp_path / 'run'}", "encoder.trainable=true")
    folder = run.train(recipe_file.load(recipe, (*changes, "training.epochs=2", "encoder.learning_rate=1e-3")))
    fresh = build.caption_model(run_loader.load(folder).recipe, run_loader.load(folder).vocabulary)
    learned = run_loader.load(folder).model.encoder.state_dict()
    moved = [name for name, value in fresh.encoder.state_dict().items() if not value.equal(learned[name])]
    assert moved
    assert Bundle.open(export.export(folder, tmp_path / "bundle").folder).spec.scores["images"] == 4
