"""Several models that caption together must weigh each other's words, and nothing else may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLES, PHOTOS, ROOT, TINY

import looksay
from looksay.captioner import Captioner
from looksay.runtime.bundle import Bundle


@pytest.fixture(scope="module")
def other_bundle(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of another encoder, image size and design, taught the same words for an epoch."""
    from looksay.export import export
    from looksay.training import recipe_file, run

    folder = tmp_path_factory.mktemp("other")
    changes = (*TINY, f"data.folder={small_data}", f"data.cache={folder / 'cache'}", f"training.run={folder / 'run'}",
               "encoder.name=test_resnet", "image.size=96", "training.epochs=1")  # fmt: skip
    run.train(recipe_file.load(ROOT / "recipes" / "show-and-tell.toml", (*changes, "encoder.trainable=false")))
    return export.export(folder / "run", folder / "bundle").folder


def first_word(captioner: Captioner, photo: str) -> np.ndarray:
    state = captioner.encode([captioner.prepare(EXAMPLES / photo)])
    log_probs: np.ndarray = captioner.step(np.array([captioner.bundle.vocabulary.start]), state)[0]
    return log_probs


def test_the_mean_of_all_probabilities_counts(small_bundle: Path, other_bundle: Path) -> None:
    alone = [looksay.load(bundle) for bundle in (small_bundle, other_bundle)]
    together = looksay.load(small_bundle, other_bundle)
    for photo in PHOTOS:
        expected = np.mean([np.exp(first_word(captioner, photo)) for captioner in alone], axis=0)
        # Not to the last digit: a photo is decoded no smaller than the model with the largest input needs.
        np.testing.assert_allclose(np.exp(first_word(together, photo)), expected, atol=1e-3)
    assert together.name == f"{alone[0].name} + {alone[1].name}"


def test_a_model_with_itself_says_what_it_says_alone(small_bundle: Path) -> None:
    alone, twice = looksay.load(small_bundle), looksay.load(small_bundle, small_bundle)
    for photo in PHOTOS:
        one, two = (captioner(EXAMPLES / photo, attention=True) for captioner in (alone, twice))
        assert one.text == two.text
        assert one.log_prob == pytest.approx(two.log_prob, abs=1e-4)
        assert one.attention is not None
        assert two.attention is not None
        np.testing.assert_allclose(one.attention, two.attention, atol=1e-6)


def test_an_ensemble_captions_in_batches_as_one_by_one(small_bundle: Path, other_bundle: Path) -> None:
    together = looksay.load(small_bundle, other_bundle)
    photos = [EXAMPLES / photo for photo in PHOTOS]
    assert [c.text for c in together.captions(photos)] == [together(photo).text for photo in photos]


def test_models_of_other_words_cannot_caption_together(small_bundle: Path) -> None:
    with pytest.raises(looksay.BundleError, match="other words"):
        looksay.load("default", small_bundle)


def test_a_bundle_of_an_older_looksay_is_named(small_bundle: Path, tmp_path: Path) -> None:
    """Its decoder takes the words of all rows in one line."""
    import onnx

    from looksay.runtime.bundle import seal

    folder = Path(shutil.copytree(small_bundle, tmp_path / "older"))
    model = onnx.load(folder / "decoder.onnx")
    squeezed = onnx.helper.make_node("Unsqueeze", ["token", "second"], ["token.both"])
    for node in model.graph.node:
        node.input[:] = ["token.both" if name == "token" else name for name in node.input]
    model.graph.node.insert(0, squeezed)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "second"))
    (token,) = (node for node in model.graph.input if node.name == "token")
    del token.type.tensor_type.shape.dim[1]
    onnx.save(model, folder / "decoder.onnx")
    seal(folder, Bundle.open(small_bundle).spec)
    with pytest.raises(looksay.BundleError, match="made by an older looksay; export its run again"):
        looksay.load(folder)


def test_what_runs_cannot_load_is_named(small_bundle: Path, tmp_path: Path) -> None:
    from looksay.runtime.bundle import seal

    folder = tmp_path / "broken"
    shutil.copytree(small_bundle, folder)
    (folder / "decoder.onnx").write_bytes(b"no graph")
    seal(folder, Bundle.open(small_bundle).spec)
    with pytest.raises(looksay.BundleError, match="cannot load"):
        looksay.load(folder)
