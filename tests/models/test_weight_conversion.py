"""Conversion of Keras weights: the converted network sees the same in an image as the one that they come from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from click.testing import CliRunner
from conftest import EXAMPLES
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from looksay import images
from looksay.cli.main import main
from looksay.errors import RecipeError
from looksay.models import weight_conversion
from looksay.models.encoder import RANDOM, Encoder, image_spec

h5py = pytest.importorskip("h5py")

Arrays = dict[str, NDArray[np.float32]]
CAFFE_MEAN = torch.tensor([103.939, 116.779, 123.68])[:, None, None]


def keras_layers(net: nn.Module, names: Iterator[str]) -> dict[str, Arrays]:
    """Return the layers of a network as Keras has them, by names in the order of its modules."""
    layers: dict[str, Arrays] = {}
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            layers[next(names)] = {"kernel": module.weight.permute(2, 3, 1, 0).numpy()}
            if module.bias is not None:
                layers[list(layers)[-1]]["bias"] = module.bias.numpy()
        elif isinstance(module, nn.BatchNorm2d):
            layers[next(names)] = {
                "gamma": module.weight.numpy(), "beta": module.bias.numpy(),
                "moving_mean": module.running_mean.numpy(), "moving_variance": module.running_var.numpy(),  # type: ignore[union-attr]
            }  # fmt: skip
    return layers


def resnet_names() -> Iterator[str]:
    yield from ("conv1", "bn_conv1")
    for stage, blocks in enumerate((3, 4, 6, 3), 2):
        for block in "abcdef"[:blocks]:
            for branch in ("2a", "2b", "2c", "1")[: 4 if block == "a" else 3]:
                yield f"res{stage}{block}_branch{branch}"
                yield f"bn{stage}{block}_branch{branch}"


def vgg_names() -> Iterator[str]:
    yield from (f"block{block}_conv{number + 1}" for block in range(1, 6) for number in range(2 if block < 3 else 3))


@pytest.fixture(scope="module")
@torch.no_grad()
def keras_resnet() -> nn.Module:
    """Return a network of random weights that is ResNet-50 as Keras has it: convolutions with a bias."""
    torch.manual_seed(0)
    net: nn.Module = timm.create_model("resnet50_v1", num_classes=0).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = nn.Parameter(torch.randn(module.out_channels) / 10)
        elif isinstance(module, nn.BatchNorm2d):
            module.eps = 1.001e-5
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                values.copy_(torch.rand(module.num_features) + 0.5)  # type: ignore[union-attr]
    return net.requires_grad_(False)


def write_h5(file: Path, layers: dict[str, Arrays]) -> None:
    with h5py.File(file, "w") as out:
        for name, arrays in layers.items():
            for key, array in arrays.items():
                out[f"model_weights/{name}/{name}/{key}:0"] = array


def write_tensorflow_js(file: Path, layers: dict[str, Arrays]) -> None:
    weights = [(f"{name}/{key}", array) for name, arrays in layers.items() for key, array in arrays.items()]
    content = b"".join(array.tobytes() for _, array in weights)
    shards = [content[: len(content) // 2 + 1], content[len(content) // 2 + 1 :]]
    for number, shard in enumerate(shards):
        (file.parent / f"shard{number}.bin").write_bytes(shard)
    entries = [{"name": name, "shape": array.shape, "dtype": "float32"} for name, array in weights]
    file.write_text(json.dumps({"weightsManifest": [{"paths": ["shard0.bin", "shard1.bin"], "weights": entries}]}))


def write_keras(file: Path, layers: dict[str, Arrays]) -> None:
    """Write the archive of Keras 3, with the network as the base of a model that has a head of its own."""
    kinds: dict[str, int] = {}
    config: list[dict[str, Any]] = []
    with io.BytesIO() as buffer, zipfile.ZipFile(file, "w") as archive:
        with h5py.File(buffer, "w") as out:
            out["layers/dense/vars/0"] = np.zeros((4, 2), np.float32)
            for name, arrays in layers.items():
                kind = "BatchNormalization" if "gamma" in arrays else "Conv2D"
                snake = {"BatchNormalization": "batch_normalization", "Conv2D": "conv2d"}[kind]
                count = kinds[snake] = kinds.get(snake, -1) + 1
                config.append({"class_name": kind, "config": {"name": name}})
                for number, array in enumerate(arrays.values()):
                    out[f"layers/functional/layers/{snake}{f'_{count}' if count else ''}/vars/{number}"] = array
        base = {"class_name": "Functional", "config": {"name": "base", "layers": config}}
        head = {"class_name": "Dense", "config": {"name": "dense"}}
        archive.writestr("config.json", json.dumps({"config": {"layers": [base, head]}}))
        archive.writestr("model.weights.h5", buffer.getvalue())


def write_onnx(file: Path, layers: dict[str, Arrays]) -> None:
    """Write the convolutions of a graph as tf2onnx names them."""
    tensors = []
    for name, arrays in layers.items():
        kernel = np.ascontiguousarray(arrays["kernel"].transpose(3, 2, 0, 1))
        tensors.append(onnx.numpy_helper.from_array(kernel, f"net/{name}_1/convolution/ReadVariableOp:0"))
        tensors.append(onnx.numpy_helper.from_array(arrays["bias"], f"net/{name}_1/Squeeze:0"))
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "net", [], [], tensors)), file)


def features(encoder: Encoder, photo: Path, name: str) -> Tensor:
    with torch.no_grad():
        found: Tensor = encoder(torch.from_numpy(images.prepare(photo, image_spec(name, None, "squash")))[None])[0]
    return found


def caffe_pixels(photo: Path, name: str) -> Tensor:
    pixels = torch.from_numpy(np.array(images.resize(images.read(photo), image_spec(name, None, "squash"))))
    return pixels.permute(2, 0, 1).flip(0)[None] - CAFFE_MEAN


@pytest.mark.parametrize(("file", "write"), [
    ("weights.h5", write_h5), ("model.json", write_tensorflow_js), ("model.keras", write_keras)
])  # fmt: skip
def test_weights_of_keras_give_the_features_that_keras_gives(
    keras_resnet: nn.Module, tmp_path: Path, file: str, write: Any
) -> None:  # fmt: skip
    write(tmp_path / file, keras_layers(keras_resnet, resnet_names()))
    save_file(weight_conversion.convert(tmp_path / file, "resnet50_v1"), tmp_path / "weights.safetensors")
    encoder = Encoder("resnet50_v1", image_spec("resnet50_v1", None, "squash"), str(tmp_path / "weights.safetensors"))
    expected = keras_resnet.forward_features(caffe_pixels(EXAMPLES / "boats.jpg", "resnet50_v1"))[0].flatten(1).T  # type: ignore[operator]
    found = features(encoder, EXAMPLES / "boats.jpg", "resnet50_v1")
    assert torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.9999


def test_vgg_without_its_dense_layers_gives_a_grid_and_its_mean(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net: Any = timm.create_model("vgg16", num_classes=0).eval().requires_grad_(False)
    net.pre_logits = nn.Identity()
    write_onnx(tmp_path / "vgg16.onnx", keras_layers(net, vgg_names()))
    spec, file = image_spec("vgg16", None, "squash"), str(tmp_path / "vgg16.safetensors")
    arguments = ["weights", "convert", str(tmp_path / "vgg16.onnx"), "--encoder", "vgg16", "--output", file]
    run = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert "would be written" in run.stderr
    assert not Path(file).exists()
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0, run.output
    assert "not the ImageNet weights that looksay knows" in run.stderr
    expected = net.forward_features(caffe_pixels(EXAMPLES / "boats.jpg", "vgg16"))[0].flatten(1).T
    grid = features(Encoder("vgg16", spec, file), EXAMPLES / "boats.jpg", "vgg16")
    assert torch.cosine_similarity(grid.flatten(), expected.flatten(), dim=0) > 0.9999
    mean = features(Encoder("vgg16", spec, file, features="mean"), EXAMPLES / "boats.jpg", "vgg16")
    torch.testing.assert_close(mean[0], grid.mean(0))


def test_weights_of_another_network_are_refused(keras_resnet: nn.Module, tmp_path: Path) -> None:
    write_h5(tmp_path / "resnet.h5", keras_layers(keras_resnet, resnet_names()))
    with pytest.raises(RecipeError, match=r"resnet\.h5 lacks the weights of features\.0"):
        weight_conversion.convert(tmp_path / "resnet.h5", "vgg16")
    with pytest.raises(RecipeError, match="cannot be converted: use one of vgg16"):
        weight_conversion.convert(tmp_path / "resnet.h5", "densenet121")


def test_torch_files_are_checked_and_cut_files_named(tmp_path: Path) -> None:
    net = timm.create_model("resnet50_v1", num_classes=0)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    converted = weight_conversion.convert(tmp_path / "net.pt", "resnet50_v1")
    assert torch.equal(converted["conv1.weight"], net.state_dict()["conv1.weight"])
    (tmp_path / "cut.pt").write_bytes((tmp_path / "net.pt").read_bytes()[:1000])
    with pytest.raises(RecipeError, match=r"cut\.pt cannot be read"):
        weight_conversion.convert(tmp_path / "cut.pt", "resnet50_v1")
    torch.save(net, tmp_path / "model.pt")  # many save a whole model, which is not weights
    with pytest.raises(RecipeError, match=r"model\.pt .* torch\.save\(model\.state_dict\(\), FILE\)"):
        weight_conversion.convert(tmp_path / "model.pt", "resnet50_v1")


def test_a_random_encoder_of_the_first_resnet_has_timms_grid() -> None:
    assert Encoder("resnet50_v1", image_spec("resnet50_v1", 64, "squash"), RANDOM).grid == (2, 2)
