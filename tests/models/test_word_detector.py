"""The word detector: an input of the decoder that a trained model can be given."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY
from safetensors.torch import load_file, save_file

import looksay
from looksay.errors import LowConfidence, RecipeError
from looksay.export import export
from looksay.models.word_detector import WordDetector
from looksay.training import checkpoint, losses, recipe_file, run, run_loader

RECIPE = ROOT / "recipes" / "flickr8k.toml"


def test_the_probabilities_are_those_of_one_persons_caption() -> None:
    """Two of four people say the first word, all of them the second: the loss is lowest at 0.5 and 1."""
    frequencies = torch.tensor([[0.5, 1.0]])
    logits = torch.zeros(1, 2, requires_grad=True)
    losses.detection(logits, frequencies).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([0.0, -0.5])


def test_a_new_detector_changes_no_grid_and_the_decoder_does_not_change_what_it_detects() -> None:
    grid = torch.randn(2, 9, 8)
    detector = WordDetector(8, [3, 4], 16, 0.0)
    logits = detector.logits(grid)
    assert torch.equal(detector(grid, logits), grid)
    torch.nn.init.ones_(detector.embed.weight)
    detector(grid, logits).sum().backward()
    assert detector.embed.weight.grad is not None
    assert all(weight.grad is None for weight in detector.detect.parameters())


def changes(data: Path, folder: Path, *more: str) -> tuple[str, ...]:
    return (*TINY, f"data.folder={data}", f"training.run={folder}", "training.epochs=8", "detector.size=32", *more)


def test_a_trained_captioner_is_given_a_detector_and_exported(
    small_data: Path, small_run: Path, tmp_path: Path
) -> None:
    recipe = recipe_file.load(
        RECIPE,
        changes(
            small_data, tmp_path / "run", f'training.start=["{small_run}"]', "detector.words=20", "detector.dropout=0",
            "training.learning_rate=1e-2",
        ),
    )  # fmt: skip
    rows = checkpoint.read(run.train(recipe))
    assert rows[-1]["train_detection_loss"] < 0.7 * rows[0]["train_detection_loss"]
    trained = run_loader.load(tmp_path / "run")
    assert trained.model.detector is not None
    words = trained.vocabulary.to_tokens(trained.model.detector.tokens.tolist())
    assert "a" not in words
    assert len(set(words)) == 20
    bundle = export.export(tmp_path / "run", tmp_path / "bundle")  # raises a ParityError if a caption differs
    assert bundle.confidence is not None
    assert bundle.confidence.words == words
    captioner = looksay.load(bundle.folder)
    photo = next(small_data.rglob("*.jpg"))
    best = captioner(photo)
    assert best.confidence is not None
    assert 0 < best.confidence < 1
    with pytest.raises(LowConfidence, match=f"{photo.name}: left out, confidence .* is below 1: {best.text}"):
        captioner(photo, min_confidence=1.0)
    assert captioner(photo, min_confidence=best.confidence - 1e-6).text == best.text


def test_a_mean_of_runs_with_and_without_a_detector_is_refused(
    small_data: Path, small_run: Path, tmp_path: Path
) -> None:
    starts = f'training.start=["{small_run}", "{small_run}"]'
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", starts, "detector.words=20"))
    with pytest.raises(RecipeError, match="has no word detector: a mean needs one in all runs or none"):
        run.train(recipe)


def test_a_mean_of_detectors_of_other_words_is_refused(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    """The words of another mixture are others; their mean would be a third list."""
    one, other = tmp_path / "one", tmp_path / "other"
    options = (f'training.start=["{small_run}"]', "training.epochs=1", "detector.words=20")
    run.train(recipe_file.load(RECIPE, changes(small_data, one, *options)))
    shutil.copytree(one, other)
    weights = load_file(one / checkpoint.BEST)
    save_file(weights | {"detector.tokens": weights["detector.tokens"].flip(0)}, other / checkpoint.BEST)
    starts = f'training.start=["{one}", "{other}"]'
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "mean", starts, "detector.words=20"))
    with pytest.raises(RecipeError, match="detects other words than"):
        run.train(recipe)


def test_more_words_than_the_captions_have_are_refused(small_data: Path, tmp_path: Path) -> None:
    recipe = recipe_file.load(RECIPE, changes(small_data, tmp_path / "run", "detector.words=5000"))
    with pytest.raises(RecipeError, match=re.escape("detector.words=5000: the captions have ")):
        run.train(recipe)
