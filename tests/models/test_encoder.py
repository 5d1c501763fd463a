"""Any timm CNN gives a feature grid, with the weights that the recipe names."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from looksay import RecipeError
from looksay.images import normalise
from looksay.models.encoder import RANDOM, Encoder, image_spec
from looksay.types import ImageSpec

SMALL = ImageSpec(size=64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a whole classifier in half precision."""
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("weights") / "test_resnet.safetensors"
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in timm.create_model("test_resnet").state_dict().items()},
        file,
    )
    return file


@pytest.mark.parametrize(
    "name", ["test_resnet", "tf_efficientnet_lite1", "vgg11", "mobilenetv3_small_050", "test_convnext", "test_mambaout"]
)
def test_any_cnn_gives_a_feature_grid(name: str) -> None:
    encoder = Encoder(name, SMALL, RANDOM)
    grid = encoder(torch.zeros(2, 3, 64, 64))
    assert grid.shape == (2, encoder.grid[0] * encoder.grid[1], encoder.channels)
    assert encoder.grid == (2, 2)


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [("vgg11", 64, 4096), ("inception_v3", 128, 2048), ("legacy_xception", 96, 2048), ("resnet50", 64, 2048)],
)
def test_pooled_features_are_the_input_of_the_classifier(name: str, size: int, channels: int) -> None:
    encoder = Encoder(name, ImageSpec(size=size), RANDOM, features="pooled")
    assert encoder(torch.zeros(2, 3, size, size)).shape == (2, 1, channels)
    assert (encoder.grid, encoder.channels) == ((1, 1), channels)


def test_pooled_features_without_dense_layers_are_the_mean_of_the_grid() -> None:
    torch.manual_seed(0)
    pixels = torch.randn(1, 3, 64, 64)
    torch.manual_seed(1)
    grid = Encoder("resnet18", SMALL, RANDOM)(pixels)
    torch.manual_seed(1)
    pooled = Encoder("resnet18", SMALL, RANDOM, features="pooled")(pixels)
    torch.testing.assert_close(pooled[:, 0], grid.mean(dim=1))


def test_a_grid_needs_none_of_the_dense_layers_of_vgg() -> None:
    names = Encoder("vgg11", SMALL, RANDOM).state_dict()
    assert not any("pre_logits" in name for name in names)


def test_weights_are_loaded_from_a_file(weights: Path) -> None:
    encoder = Encoder("test_resnet", SMALL, str(weights))
    whole = timm.create_model("test_resnet")
    torch.manual_seed(1)
    whole = timm.create_model("test_resnet")
    name = "conv1.weight" if "conv1.weight" in encoder.cnn.state_dict() else next(iter(encoder.cnn.state_dict()))
    assert torch.equal(encoder.cnn.state_dict()[name], whole.state_dict()[name].half().float())


def test_a_frozen_encoder_gets_no_gradient_and_a_trainable_one_keeps_its_batch_statistics() -> None:
    pixels = torch.randn(4, 3, 64, 64)
    frozen = Encoder("test_resnet", SMALL, RANDOM).train()
    assert not frozen(pixels).requires_grad
    assert not any(module.training for module in frozen.cnn.modules())
    trained = Encoder("test_resnet", SMALL, RANDOM, trainable=True).train()
    before = {k: v.clone() for k, v in trained.state_dict().items() if "running" in k}
    trained(pixels).sum().backward()
    assert all(p.grad is not None for p in trained.parameters())
    assert before
    assert all(torch.equal(trained.state_dict()[k], v) for k, v in before.items())


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout"])
def test_the_grid_is_row_by_row(name: str) -> None:
    """Attention maps are drawn over the image, so the order of the cells matters."""
    torch.manual_seed(0)
    encoder = Encoder(name, SMALL, RANDOM).eval()
    pixels = torch.zeros(1, 3, 64, 64)
    flat = encoder(pixels)
    pixels[:, :, :16, 48:] = 5
    changed = (encoder(pixels) - flat).abs().sum(dim=2)[0]
    assert changed.argmax() == 1


def test_pixels_are_normalised_exactly_as_by_the_runtime() -> None:
    spec = image_spec("test_resnet", 64, "squash")
    pixels = np.random.default_rng(0).integers(256, size=(2, 64, 64, 3), dtype=np.uint8)
    normalised = Encoder("test_resnet", spec, RANDOM).normalise(torch.from_numpy(pixels))
    assert torch.equal(normalised, torch.from_numpy(normalise(pixels, spec)))


def test_the_image_spec_is_that_of_timm() -> None:
    spec = image_spec("tf_efficientnet_lite1", None, "squash")
    assert (spec.size, spec.mean, spec.interpolation) == (240, (0.5, 0.5, 0.5), "bicubic")
    assert image_spec("resnet50", 160, "crop").size == 160


def test_errors_name_the_key(tmp_path: Path, weights: Path) -> None:
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk")
    for name, file, problem in (
        ("resnet5000", RANDOM, r"encoder\.name=resnet5000"),
        ("vit_tiny_patch16_224", RANDOM, "not a grid"),
        ("test_resnet", str(tmp_path / "none"), "there is no such file"),
        ("test_resnet", str(junk), "not a safetensors file"),
        ("test_efficientnet", str(weights), "does not fit"),
    ):
        with pytest.raises(RecipeError, match=problem):
            Encoder(name, ImageSpec(size=224) if "vit" in name else SMALL, file)
    with pytest.raises(RecipeError, match="does not take image"):
        Encoder("vit_tiny_patch16_224", SMALL, RANDOM)
    with pytest.raises(RecipeError, match="no such network"):
        image_spec("resnet5000", None, "squash")


def test_without_internet_one_error_names_a_file_and_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The hub's downloader itself retries for a minute and logs each try."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    for offline in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        with pytest.raises(RecipeError, match=r"encoder\.weights=FILE.*https://huggingface\.co/timm/resnet50\.a1_in1k"):
            Encoder("resnet50", SMALL)
    assert time.monotonic() - start < 20  # far less, but the machine may be busy
    assert not caplog.records
