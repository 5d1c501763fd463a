"""Who names a CNN gets its feature grid, with the weights asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from looksay import RecipeError
from looksay.models.encoder import RANDOM, Encoder, image_spec
from looksay.types import ImageSpec

SMALL = ImageSpec(size=64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a whole classifier in half precision, as they are found in the wild."""
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
def test_any_cnn_gives_a_grid(name: str) -> None:
    encoder = Encoder(name, SMALL, RANDOM)
    grid = encoder(torch.zeros(2, 3, 64, 64))
    assert grid.shape == (2, encoder.grid[0] * encoder.grid[1], encoder.channels)
    assert encoder.grid == (2, 2)


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [("vgg11", 64, 4096), ("inception_v3", 128, 2048), ("legacy_xception", 96, 2048), ("resnet50", 64, 2048)],
)
def test_any_cnn_gives_the_one_vector_that_its_classifier_would_get(name: str, size: int, channels: int) -> None:
    encoder = Encoder(name, ImageSpec(size=size), RANDOM, pooled=True)
    assert encoder(torch.zeros(2, 3, size, size)).shape == (2, 1, channels)
    assert (encoder.grid, encoder.channels) == ((1, 1), channels)


def test_a_pooled_cnn_without_dense_layers_gives_the_mean_of_its_grid() -> None:
    torch.manual_seed(0)
    pixels = torch.randn(1, 3, 64, 64)
    torch.manual_seed(1)
    grid = Encoder("resnet18", SMALL, RANDOM)(pixels)
    torch.manual_seed(1)
    pooled = Encoder("resnet18", SMALL, RANDOM, pooled=True)(pixels)
    torch.testing.assert_close(pooled[:, 0], grid.mean(dim=1))


def test_vggs_dense_layers_are_no_part_of_its_grid() -> None:
    names = Encoder("vgg11", SMALL, RANDOM).state_dict()
    assert not any("pre_logits" in name for name in names)


def test_weights_of_a_file_are_the_weights_used(weights: Path) -> None:
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
    learning = Encoder("test_resnet", SMALL, RANDOM, trainable=True).train()
    before = {k: v.clone() for k, v in learning.state_dict().items() if "running" in k}
    learning(pixels).sum().backward()
    assert all(p.grad is not None for p in learning.parameters())
    assert before
    assert all(torch.equal(learning.state_dict()[k], v) for k, v in before.items())


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout"])
def test_the_grid_is_row_by_row(name: str) -> None:
    """An attention map is drawn over the image: its cells must be where the image's are."""
    torch.manual_seed(0)
    encoder = Encoder(name, SMALL, RANDOM).eval()
    pixels = torch.zeros(1, 3, 64, 64)
    flat = encoder(pixels)
    pixels[:, :, :16, 48:] = 5
    changed = (encoder(pixels) - flat).abs().sum(dim=2)[0]
    assert changed.argmax() == 1


def test_timms_preparation_is_taken_over() -> None:
    spec = image_spec("tf_efficientnet_lite1", None, "squash")
    assert (spec.size, spec.mean, spec.interpolation) == (240, (0.5, 0.5, 0.5), "bicubic")
    assert image_spec("resnet50", 160, "crop").size == 160


def test_mistakes_name_the_key(tmp_path: Path, weights: Path) -> None:
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
    with pytest.raises(RecipeError, match="cannot look at image"):
        Encoder("vit_tiny_patch16_224", SMALL, RANDOM)
    with pytest.raises(RecipeError, match="no such network"):
        image_spec("resnet5000", None, "squash")


def test_the_hub_is_the_default_and_says_what_to_do_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's own loading code runs; only the connection is missing."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RecipeError, match=r"encoder\.weights=FILE"):
        Encoder("test_resnet", SMALL)
