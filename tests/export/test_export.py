"""A run is exported to the same captioner, in a folder that runs anywhere."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import EXAMPLES, PHOTOS, REFERENCES, ROOT, TINY, write_flickr8k
from torch import nn

import looksay
from looksay import images
from looksay.cli.export import export as command
from looksay.export import export, onnx_graphs, quantize
from looksay.models.caption_model import CaptionModel
from looksay.runtime import bundle
from looksay.runtime.bundle import Bundle
from looksay.text.tokenizer import tokenize
from looksay.training import build, run, run_loader

EXPECTED = {photo: tokenize(caption) for photo, caption in REFERENCES.items()}


@pytest.mark.parametrize("num_beams", [1, 3])
def test_the_bundle_of_an_overfitted_model_generates_its_training_captions(small_bundle: Path, num_beams: int) -> None:
    captioner = looksay.load(small_bundle)
    captions = {photo: captioner(EXAMPLES / photo, num_beams=num_beams) for photo in PHOTOS}
    assert {photo: list(caption.tokens) for photo, caption in captions.items()} == EXPECTED
    assert captions["alps.jpg"].text == "the valley's dark firs stand below high bright mountains"


def test_the_bundle_has_its_scores_and_how_to_prepare_images(small_bundle: Path) -> None:
    spec = Bundle.open(small_bundle).spec
    assert spec.scores["split"] == "val"
    assert spec.scores["images"] == 4
    assert spec.scores["BLEU-4"] == pytest.approx(1, abs=1e-3)
    assert (spec.image.size, spec.grid) == (64, (2, 2))
    assert set(spec.files) == {"encoder.onnx", "decoder.onnx", "vocabulary.json", "CARD.md"}
    card = (small_bundle / "CARD.md").read_text(encoding="utf-8")
    assert "4 of 4 captions are the same" in card
    assert spec.licence in card
    assert "**Trained on**: flickr8k (Flickr8k, original layout): 16 images with 32 captions." in card
    assert str(small_bundle.parent.parent) not in card


def test_the_bundle_names_no_file_of_the_machine_that_exported_it(small_bundle: Path) -> None:
    for file in small_bundle.iterdir():
        for trace in (b"stack_trace", b"onnx_graphs.py", str(ROOT).encode()):
            assert trace not in file.read_bytes(), file.name


def test_the_json_files_have_the_documented_keys(small_bundle: Path) -> None:
    model = json.loads((small_bundle / "model.json").read_text(encoding="utf-8"))
    assert model["format"] == 3
    assert model["image"]["resize"] == "squash"
    assert model["decoding"]["num_beams"] == 3
    assert "tokens" in json.loads((small_bundle / "vocabulary.json").read_text(encoding="utf-8"))


def test_an_int8_bundle_is_smaller_and_generates_the_same_captions(small_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "int8"
    shutil.copytree(small_bundle, folder)
    quantize.quantize(
        folder, np.stack([images.prepare(EXAMPLES / photo, Bundle.open(folder).spec.image) for photo in PHOTOS])
    )
    bundle.seal(folder, Bundle.open(small_bundle).spec)
    size, full_size = (sum(file.stat().st_size for file in path.iterdir()) for path in (folder, small_bundle))
    assert size < 0.65 * full_size
    captioner = looksay.load(folder)
    assert {photo: list(captioner(EXAMPLES / photo).tokens) for photo in PHOTOS} == EXPECTED


def test_a_model_whose_captions_differ_is_not_exported(
    small_run: Path, small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(model: CaptionModel, size: int, folder: Path, classifier: nn.Linear | None = None) -> None:
        for name in (bundle.ENCODER, bundle.DECODER):
            shutil.copy(small_bundle / name, folder)
        head = model.decoder.output_head[-1]  # the graphs are written: now the model changes
        assert isinstance(head, nn.Linear)
        head.bias.data += 3 * torch.randn(head.out_features, generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr(onnx_graphs, "write", write)
    with pytest.raises(looksay.ParityError, match=r"was not exported: .* trained: .* exported: "):
        export.export(small_run, tmp_path / "bundle")
    assert list(tmp_path.glob("*bundle*")) == []


def test_a_dry_run_says_what_would_be_exported_and_writes_nothing(small_run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(small_run), str(tmp_path / "bundle"), "--int8", "--dry-run"])
    run, data, size = result.stdout.splitlines()
    assert run.startswith(f"run: {small_run}, ")
    assert re.fullmatch(r"scored on the val split: \d+ images", data)
    assert re.fullmatch(rf"would write {tmp_path}/bundle, about \d+ MB", size)
    assert not list(tmp_path.iterdir())
    result = CliRunner().invoke(command, [str(small_run), str(tmp_path), "--dry-run"])
    assert "choose a new folder" in str(result.exception)


def test_export_does_not_overwrite_and_names_what_is_missing(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(looksay.RunError, match="exists already"):
        export.export(small_run, tmp_path)
    with pytest.raises(looksay.RunError, match="not a run"):
        export.export(tmp_path, tmp_path / "bundle")
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / "recipe.toml").write_text("", encoding="utf-8")
    with pytest.raises(looksay.RunError, match="not completed an epoch"):
        export.export(tmp_path / "started", tmp_path / "bundle")


def test_the_command_takes_one_data_set_and_further_ones_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(export, "export", lambda *folders, **options: calls.append((folders, options)))
    arguments = ["runs/first", "model", "--int8", "--data", "photos"]
    result = CliRunner().invoke(command, [*arguments, "--data", "coco=more/coco"])
    assert result.exit_code == 0, result.output
    ((folders, options),) = calls
    assert folders == (Path("runs/first"), Path("model"))
    assert options == {"int8": True, "data_folder": Path("photos"), "mixture_folders": {"coco": Path("more/coco")}}
    (tmp_path / "a=b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(command, ["run", "model", "--data", "a=b", "--data", "c=d"]).exit_code == 0
    assert calls[-1][1] == {"int8": False, "data_folder": Path("a=b"), "mixture_folders": {"c": Path("d")}}
    result = CliRunner().invoke(command, [*arguments, "--data", "others"])
    assert result.exit_code == 2
    assert "use NAME=PATH" in result.output


@pytest.mark.slow
def test_a_fine_tuned_encoder_is_exported(tmp_path: Path) -> None:
    from looksay.training import recipe_file

    data = write_flickr8k(tmp_path / "data")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("", encoding="utf-8")
    changes = (*TINY, f"data.folder={data}", f"training.run={tmp_path / 'run'}", "encoder.trainable=true")
    folder = run.train(recipe_file.load(recipe, (*changes, "training.epochs=2", "encoder.learning_rate=1e-3")))
    trained = run_loader.load(folder)
    initial = build.caption_model(trained.recipe, trained.vocabulary).encoder.state_dict()
    weights = trained.model.encoder.state_dict()
    assert [name for name, value in initial.items() if not value.equal(weights[name])]
    assert export.export(folder, tmp_path / "bundle").spec.scores["images"] == 4
