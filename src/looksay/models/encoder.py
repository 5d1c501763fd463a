"""The CNN that looks: any timm network, as a feature grid or as one vector."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self

import timm
import torch
from safetensors.torch import load_file
from timm.models import group_parameters
from torch import Tensor, nn

from looksay.errors import RecipeError
from looksay.types import ImageSpec, ResizeRule

HUB = "hub"
RANDOM = "random"
IMAGENET = 1000
"""Classes."""


class Encoder(nn.Module):
    """A CNN without its classifier.

    Parameters
    ----------
    name : str
        Any CNN that timm knows: ``resnet50``, ``tf_efficientnet_lite1``, ``vgg16``.
    image : ImageSpec
        What its images look like.
    weights : str
        ``hub``: timm's pretrained weights, from its hub; ``random``: none; else a safetensors file under timm's
        names, of any floating-point type, with or without the classifier.
    pooled : bool
        One vector for the image, as its classifier would get it (VGG's dense layers included), in place of a grid.
    trainable : bool
        Whether gradients reach the CNN. The BatchNorm statistics are kept as they are in any case.

    Attributes
    ----------
    name : str
    grid : tuple of int
        Rows and columns of the feature grid; (1, 1) where it is pooled.
    channels : int
        Features in a cell of the grid.

    Raises
    ------
    RecipeError
        If timm has no such network, if it gives no feature grid, or if the weights cannot be had or do not fit.
    """

    def __init__(
        self, name: str, image: ImageSpec, weights: str = HUB, *, pooled: bool = False, trainable: bool = False
    ) -> None:
        super().__init__()
        cnn = _create(name, weights)
        if not pooled and hasattr(cnn, "pre_logits"):
            cnn.pre_logits = nn.Identity()  # VGG's dense layers are most of its weights, and no part of the grid
        self.cnn = cnn.to(memory_format=torch.channels_last).requires_grad_(trainable)
        self.name = name
        self.pooled = pooled
        self.trainable = trainable
        self.train()
        try:
            with torch.no_grad():
                features = cnn.forward_features(torch.zeros(1, 3, image.size, image.size))
        except Exception as error:  # each network objects in its own way to a size it cannot take
            raise RecipeError(f"encoder.name={name} cannot look at image.size={image.size} pixels: {error}") from error
        if features.ndim != 4:
            raise RecipeError(
                f"encoder.name={name} gives features of shape {tuple(features.shape)}, not a grid; take a CNN"
            )
        # A few of timm's CNNs keep the channels last; their number tells which.
        self._channels_last = features.shape[1] != cnn.num_features == features.shape[3]
        features = features.movedim(-1, 1) if self._channels_last else features
        self.channels: int = features.shape[1]
        self.grid: tuple[int, int] = (features.shape[2], features.shape[3])
        if pooled:
            with torch.no_grad():
                self.channels = self(torch.zeros(1, 3, image.size, image.size)).shape[-1]
            self.grid = (1, 1)

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters of the CNN by its stages, as timm groups them, from the first to the last.

        Where timm counts a layer of norms alone as a stage (VGG with BatchNorm), it goes with the stage before it.
        """
        try:
            groups = group_parameters(self.cnn, self.cnn.group_matcher(coarse=True))
        except Exception as error:  # a few of timm's CNNs have no such groups, or not for all that they have
            raise RecipeError(f"encoder.name={self.name}: timm names no stages of it; keep it frozen") from error
        used = {n: p for n, p in self.cnn.named_parameters() if self.pooled or not n.startswith("head.")}
        stages: list[list[nn.Parameter]] = []
        for key in sorted(groups):
            stage = [used[name] for name in groups[key] if name in used]
            if stages and all(parameter.ndim == 1 for parameter in stage):
                stages[-1] += stage
            else:
                stages.append(stage)
        return stages

    def learn(self, count: float) -> None:
        """Let the last `count` stages learn from now on (inf for all, 0 for none); in training mode."""
        self.trainable = count > 0
        if count in (0, math.inf):
            self.cnn.requires_grad_(self.trainable)
            self.train()
            return
        for place, stage in enumerate(reversed(self.stages())):
            for parameter in stage:
                parameter.requires_grad_(place < count)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, save for BatchNorm, or for everything if the CNN is frozen."""
        super().train(mode and self.trainable)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the feature grid, or its one cell.

        Parameters
        ----------
        pixels : Tensor, shape (batch, 3, size, size)
            As `images.prepare` makes them.

        Returns
        -------
        Tensor, shape (batch, rows * columns, channels)
        """
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            features: Tensor = self.cnn.forward_features(pixels)
            if self.pooled:
                pooled: Tensor = self.cnn.forward_head(features, pre_logits=True)
                return pooled.flatten(1).unsqueeze(1)
        return features.flatten(1, 2) if self._channels_last else features.flatten(2).transpose(1, 2)


def classifier(name: str, weights: str = HUB) -> nn.Linear:
    """Return the layer with which timm's network tells its classes apart, from the mean of its grid.

    Parameters
    ----------
    name, weights
        As for `Encoder`; a file must have the classifier's weights, too.

    Raises
    ------
    RecipeError
        If they cannot be had, or if the network has no such layer for ImageNet's classes.
    """
    cnn: Any = _create(name, weights, classes=True)
    head = cnn.get_classifier()
    if not isinstance(head, nn.Linear) or head.in_features != cnn.num_features:
        raise RecipeError(f"encoder.name={name} has no linear classifier over its grid, so it tells no nouns")
    if head.out_features != IMAGENET:
        raise RecipeError(f"encoder.name={name} tells {head.out_features} classes; nouns are of ImageNet's {IMAGENET}")
    return head.requires_grad_(False).eval()


def image_spec(name: str, size: int | None, resize: ResizeRule) -> ImageSpec:
    """Return the `ImageSpec` that timm's weights of a network were trained with.

    Parameters
    ----------
    size : int, optional
        In place of the network's own.
    """
    try:
        known: dict[str, Any] = timm.get_pretrained_cfg(name, allow_unregistered=False).to_dict()  # type: ignore[union-attr]
    except Exception as error:  # an unknown name is an error of timm's own, or None
        raise RecipeError(f"encoder.name={name}: timm has no such network; see timm.list_models()") from error
    interpolation = known["interpolation"]
    return ImageSpec(
        size=size or known["input_size"][-1],
        resize=resize,
        interpolation=interpolation if interpolation in ("bilinear", "bicubic") else "bicubic",
        mean=tuple(known["mean"]),
        std=tuple(known["std"]),
    )


def _create(name: str, weights: str, *, classes: bool = False) -> Any:
    """Make a network of timm's, with its classifier if `classes`."""
    try:
        wanted: dict[str, Any] = {} if classes else {"num_classes": 0}
        cnn = timm.create_model(name, pretrained=weights == HUB, **wanted)
    except Exception as error:  # timm, its hub and its networks raise errors of many kinds
        raise RecipeError(
            f"encoder.name={name}, encoder.weights={weights}: {str(error).rstrip('.')}. "
            "timm.list_models() names its networks; without internet, encoder.weights=FILE takes a safetensors file"
        ) from error
    if weights not in (HUB, RANDOM):
        _load(cnn, Path(weights), classes=classes)
    return cnn


def _load(cnn: Any, file: Path, *, classes: bool) -> None:
    try:
        weights = load_file(file)
    except FileNotFoundError as error:
        raise RecipeError(f"encoder.weights={file}: there is no such file") from error
    except Exception as error:  # safetensors' error has no public base class
        raise RecipeError(f"encoder.weights={file} is not a safetensors file: {error}") from error
    heads = cnn.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    left_out = () if classes else tuple(f"{head}." for head in heads)
    try:
        cnn.load_state_dict({k: v.float() for k, v in weights.items() if not k.startswith(left_out)})
    except RuntimeError as error:
        problems = str(error).splitlines()[1:3]  # it names every key
        raise RecipeError(
            f"encoder.weights={file} does not fit; take timm's weights for this very name. "
            f"{' '.join(problem.strip()[:120] for problem in problems)} …"
        ) from error
