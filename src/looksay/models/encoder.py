"""The CNN encoder: any timm network, as a feature grid or as pooled features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

import timm
import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import load_file
from timm.models import group_parameters
from torch import Tensor, nn

from looksay.errors import RecipeError
from looksay.models import resnet_v1  # noqa: F401  # timm learns of the network
from looksay.types import ImageSpec, ResizeRule

HUB, RANDOM = "hub", "random"
IMAGENET = 1000
"""Number of classes."""

Features = Literal["grid", "pooled", "mean"]

_PATIENCE = 2.0  # seconds for the hub to answer


class Encoder(nn.Module):
    """A CNN without its classifier.

    Parameters
    ----------
    name : str
        A CNN of timm: ``resnet50``, ``tf_efficientnet_lite1``, ``vgg16``.
    image : ImageSpec
        The input that it was trained with.
    weights : str
        ``hub``: timm's pretrained weights; ``random``: none; otherwise a safetensors file with timm's parameter
        names, of any floating-point type, with or without the classifier.
    features : {"grid", "pooled", "mean"}
        A feature grid; the vector that the classifier would get (VGG: after its dense layers); or the grid's mean,
        which differs from that only for networks with dense layers, and needs none of their weights.
    trainable : bool
        Whether gradients reach the CNN. BatchNorm statistics are never updated.

    Attributes
    ----------
    grid : tuple of int
        Rows and columns of the feature grid; (1, 1) if pooled.
    channels : int
        Features of a grid cell.

    Raises
    ------
    RecipeError
        If timm has no such network, if it has no feature grid, or if the weights cannot be loaded.
    """

    _scale: Tensor
    _shift: Tensor

    def __init__(
        self, name: str, image: ImageSpec, weights: str = HUB, *, features: Features = "grid", trainable: bool = False
    ) -> None:
        super().__init__()
        pooled = features != "grid"
        cnn = _create(name, weights, dense=features == "pooled")
        self.cnn = cnn.to(memory_format=torch.channels_last).requires_grad_(trainable)
        if trainable:
            from looksay.models.depthwise import in_fp32_on_cpu

            in_fp32_on_cpu(self.cnn)
        self.name, self.image, self.pooled, self.trainable = name, image, pooled, trainable
        mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (image.mean, image.std))
        self.register_buffer("_scale", 1 / (255 * std), persistent=False)
        self.register_buffer("_shift", mean / std, persistent=False)
        self.train()
        try:
            with torch.no_grad():
                grid = cnn.forward_features(torch.zeros(1, 3, image.size, image.size))
        except Exception as error:  # each network objects in its own way to a size it cannot take
            raise RecipeError(f"encoder.name={name} does not take image.size={image.size} pixels: {error}") from error
        if grid.ndim != 4:
            raise RecipeError(f"encoder.name={name} gives features of shape {tuple(grid.shape)}, not a grid: use a CNN")
        # A few of timm's CNNs return the channels last, which their number shows.
        self._channels_last = grid.shape[1] != cnn.num_features == grid.shape[3]
        grid = grid.movedim(-1, 1) if self._channels_last else grid
        self.channels: int = grid.shape[1]
        self.grid: tuple[int, int] = (grid.shape[2], grid.shape[3])
        if pooled:
            with torch.no_grad():
                self.channels = self(torch.zeros(1, 3, image.size, image.size)).shape[-1]
            self.grid = (1, 1)

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters of the CNN by timm's stages, first to last; norms belong to the stage before them."""
        try:
            groups = group_parameters(self.cnn, self.cnn.group_matcher(coarse=True))
        except Exception as error:  # a few of timm's CNNs have no such groups, or not for all that they have
            raise RecipeError(
                f"encoder.name={self.name}: timm defines no stages for it: use encoder.trainable=false"
            ) from error
        used = {n: p for n, p in self.cnn.named_parameters() if self.pooled or not n.startswith("head.")}
        stages: list[list[nn.Parameter]] = []
        for key in sorted(groups):
            stage = [used[name] for name in groups[key] if name in used]
            if stages and all(parameter.ndim == 1 for parameter in stage):
                stages[-1] += stage
            else:
                stages.append(stage)
        return stages

    def unfreeze(self, count: float) -> None:
        """Unfreeze the last `count` stages (inf for all), freeze the others, and switch to training mode."""
        self.trainable = count > 0
        if count in (0, math.inf):  # also for CNNs without stages
            self.cnn.requires_grad_(self.trainable)
        else:
            for index, stage in enumerate(reversed(self.stages())):
                for parameter in stage:
                    parameter.requires_grad_(index < count)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, except BatchNorm, and except everything if the CNN is frozen."""
        super().train(mode and self.trainable)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return what `images.normalise` returns for pixels of uint8 (batch, size, size, 3), on their device."""
        return pixels.permute(0, 3, 1, 2).contiguous() * self._scale - self._shift

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the feature grid (batch, rows * columns, channels), of one cell if the features are pooled.

        `pixels` (batch, 3, size, size) are of float32, as `images.prepare` or `normalise` returns them.
        """
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            features: Tensor = self.cnn.forward_features(pixels)
            if self.pooled:
                pooled: Tensor = self.cnn.forward_head(features, pre_logits=True)
                return pooled.flatten(1).unsqueeze(1)
        return features.flatten(1, 2) if self._channels_last else features.flatten(2).transpose(1, 2)


def classifier(name: str, weights: str = HUB) -> nn.Linear:
    """Return the ImageNet classifier of a timm network, which reads the mean of its grid.

    A file of weights must hold the classifier's as well. A network without such a classifier raises a RecipeError.
    """
    cnn: Any = _create(name, weights, classes=True)
    head = cnn.get_classifier()
    if not isinstance(head, nn.Linear) or head.in_features != cnn.num_features:
        raise RecipeError(f"encoder.name={name} has no linear classifier over its grid: set vocabulary.concepts=false")
    if head.out_features != IMAGENET:
        raise RecipeError(
            f"encoder.name={name} has {head.out_features} classes; the concepts need ImageNet's {IMAGENET}"
        )
    return head.requires_grad_(False).eval()


def image_spec(name: str, size: int | None, resize: ResizeRule) -> ImageSpec:
    """Return the `ImageSpec` that a network's weights were trained with; `size`, if given, replaces its own."""
    known = _pretrained_config(name)
    interpolation = known["interpolation"]
    return ImageSpec(
        size=size or known["input_size"][-1],
        resize=resize,
        interpolation=interpolation if interpolation in ("bilinear", "bicubic") else "bicubic",
        mean=tuple(known["mean"]),
        std=tuple(known["std"]),
    )


def _pretrained_config(name: str) -> dict[str, Any]:
    try:
        known: dict[str, Any] = timm.get_pretrained_cfg(name, allow_unregistered=False).to_dict()  # type: ignore[union-attr]
    except Exception as error:  # timm raises an error of its own for an unknown name, or returns None
        raise RecipeError(f"encoder.name={name}: timm has no such network; timm.list_models() lists them") from error
    return known


def check_weights(name: str, weights: str) -> None:
    """Raise a RecipeError if a file of weights does not exist, or if timm's are neither cached nor within reach.

    The hub's own downloader would first retry for a minute.
    """
    if weights not in (HUB, RANDOM) and not Path(weights).is_file():
        raise RecipeError(f"encoder.weights={weights}: there is no such file")
    hub_id = _pretrained_config(name).get("hf_hub_id")
    if weights != HUB or not hub_id:
        return
    repository, _, revision = hub_id.partition("@")
    address = {"repo_id": repository, "filename": "model.safetensors", "revision": revision or None}
    if isinstance(try_to_load_from_cache(**address), str):
        return
    try:
        get_hf_file_metadata(hf_hub_url(**address), timeout=_PATIENCE)
    except EntryNotFoundError:  # the hub answers, and timm knows other files
        return
    except Exception as error:  # the hub's HTTP client has errors of many kinds
        raise RecipeError(
            f"encoder.name={name}: its weights are not on this machine, and the hub cannot be reached ({error}): use "
            f"encoder.weights=FILE. Download model.safetensors from https://huggingface.co/{repository} on a machine "
            "with internet, or make FILE from Keras, ONNX or torch weights with looksay weights convert"
        ) from error


def _create(name: str, weights: str, *, classes: bool = False, dense: bool = True) -> Any:
    """Create a timm network, with its classifier if `classes`; VGG's dense layers are left out unless `dense`."""
    check_weights(name, weights)
    options: dict[str, Any] = {} if classes else {"num_classes": 0}
    try:
        cnn = timm.create_model(name, pretrained=weights == HUB, **options)
    except Exception as error:  # timm, its hub and its networks raise errors of many kinds
        raise RecipeError(
            f"encoder.name={name}, encoder.weights={weights}: {str(error).rstrip('.')}. "
            "timm.list_models() lists the networks; encoder.weights=FILE reads a safetensors file"
        ) from error
    if not dense and hasattr(cnn, "pre_logits"):
        cnn.pre_logits = nn.Identity()  # most of VGG's weights
    if weights not in (HUB, RANDOM):
        _load(cnn, Path(weights), classes=classes)
    return cnn


def _load(cnn: Any, file: Path, *, classes: bool) -> None:
    try:
        weights = load_file(file)
    except Exception as error:  # safetensors' error has no public base class
        raise RecipeError(f"encoder.weights={file} is not a safetensors file: {error}") from error
    heads = cnn.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    ignored = () if classes else tuple(f"{head}." for head in heads)
    if isinstance(getattr(cnn, "pre_logits", None), nn.Identity):
        ignored += ("pre_logits.",)
    try:
        cnn.load_state_dict({k: v.float() for k, v in weights.items() if not k.startswith(ignored)})
    except RuntimeError as error:
        problems = str(error).splitlines()[1:3]  # the message lists every key
        raise RecipeError(
            f"encoder.weights={file} does not fit: use timm's weights for this network. "
            f"{' '.join(problem.strip()[:120] for problem in problems)} …"
        ) from error
