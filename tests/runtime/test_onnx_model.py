"""An ensemble decodes the mean of its models' probabilities, and a model that cannot be loaded is named."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import EXAMPLES, PHOTOS

import looksay
from looksay import Bundle, Captioner
from looksay.runtime.bundle import DECODER, seal
from looksay.runtime.hub import locate
from looksay.runtime.onnx_model import available_cores
from looksay.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model with other biases, which prepares images in another way."""
    folder = Path(shutil.copytree(locate(), tmp_path_factory.mktemp("other") / "bundle"))
    model = onnx.load(folder / DECODER)
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "decoder.output_head.0.bias")
    noise = np.random.default_rng(0).normal(size=bias.dims[0]) / 2
    values = onnx.numpy_helper.to_array(bias) + noise.astype(np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, folder / DECODER)
    spec = Bundle.open(locate()).spec
    seal(folder, replace(spec, name="other", image=replace(spec.image, resize="crop")))
    return folder


def first_probabilities(captioner: Captioner, photo: str) -> np.ndarray:
    state = captioner.encode([captioner.prepare(EXAMPLES / photo)])
    log_probs: np.ndarray = captioner.step(np.array([captioner.bundle.vocabulary.start]), state)[0]
    probabilities: np.ndarray = np.exp(log_probs)
    return probabilities


def test_an_ensemble_has_the_mean_of_all_probabilities(other_bundle: Path) -> None:
    models = [looksay.load(), looksay.load(other_bundle)]
    ensemble = looksay.load("default", other_bundle)
    for photo in PHOTOS:
        probabilities = [first_probabilities(captioner, photo) for captioner in models]
        assert np.abs(probabilities[0] - probabilities[1]).max() > 0.01
        np.testing.assert_allclose(first_probabilities(ensemble, photo), np.mean(probabilities, axis=0), atol=1e-3)
    assert ensemble.name == f"{models[0].name} + other"
    assert repr(ensemble).startswith(f"<Captioner {models[0].name} + other: ")


def test_a_model_with_itself_is_the_model_alone() -> None:
    alone, twice = looksay.load(), looksay.load("default", "default")
    for photo in PHOTOS:
        first, second = (captioner(EXAMPLES / photo, attention=True) for captioner in (alone, twice))
        assert first.text == second.text
        assert first.log_prob == pytest.approx(second.log_prob, abs=1e-3)
        assert first.attention is not None
        assert second.attention is not None
        np.testing.assert_allclose(first.attention, second.attention, atol=1e-5)


def test_an_ensemble_captions_in_batches_as_one_by_one(other_bundle: Path) -> None:
    ensemble = looksay.load("default", other_bundle)
    photos = [EXAMPLES / photo for photo in PHOTOS]
    assert list(ensemble.captions(photos)) == [ensemble(photo) for photo in photos]


def test_models_of_different_vocabularies_are_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(locate(), tmp_path / "other"))
    Vocabulary((*Bundle.open(folder).vocabulary.tokens[:-1], "xylophone")).save(folder / "vocabulary.json")
    seal(folder, Bundle.open(locate()).spec)
    with pytest.raises(looksay.BundleError, match="other has another vocabulary than default"):
        looksay.load("default", folder)


def test_a_graph_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(locate(), tmp_path / "broken"))
    (folder / DECODER).write_bytes(b"no graph")
    seal(folder, Bundle.open(locate()).spec)
    with pytest.raises(looksay.BundleError, match="cannot load"):
        looksay.load(folder)


def write_cgroup(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_max", ".max").replace("cpu_cfs", "cpu.cfs")).write_text(text + "\n")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_threads_follow_the_cores_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    own = tmp_path / "own"
    own.write_text("0::/kubepods/pod1\n")
    two = tmp_path / "two"
    write_cgroup(two / "kubepods/pod1", cpu_max="max 100000")
    assert available_cores(two, own) == 16
    write_cgroup(two / "kubepods", cpu_max="250000 100000")  # the quota of a group holds for the groups below it
    assert available_cores(two, own) == 3
    write_cgroup(two / "kubepods/pod1", cpu_max="50000 100000")
    assert available_cores(two, own) == 1
    own.write_text("12:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n")
    one = tmp_path / "one"
    write_cgroup(one / "cpu,cpuacct", cpu_cfs_quota_us="400000", cpu_cfs_period_us="100000")  # of the container itself
    assert available_cores(one, own) == 4
    write_cgroup(one / "cpu,cpuacct", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    assert available_cores(one, own) == 16
    assert available_cores(tmp_path / "none", tmp_path / "nothing") == 16
