"""Images, models and captions as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from looksay.decoding.options import DecodingOptions
from looksay.errors import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ResizeRule = Literal["squash", "crop"]
"""``squash`` fits the whole image and forgets its aspect ratio; ``crop`` keeps the ratio and cuts the centre."""

Device = Literal["cpu", "cuda", "coreml", "directml", "openvino"]
"""What a model runs on, in the words of the command line."""


@dataclass(frozen=True)
class ImageSpec:
    """How an image becomes the input of an encoder.

    Attributes
    ----------
    size : int
        Height and width in pixels.
    resize : {"squash", "crop"}
        How an image that is not square becomes square.
    interpolation : {"bilinear", "bicubic"}
        The resampling filter (both average over all the pixels they cover when shrinking).
    mean, std : tuple of float
        Per channel, on the 0 to 1 scale: ``(pixel / 255 - mean) / std``.
    channels : {"rgb", "bgr"}
        The order of the channels.

    Raises
    ------
    OptionError
        If a value is out of its range.
    """

    size: int = 224
    resize: ResizeRule = "squash"
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        require(type(self.size) is int and 1 <= self.size <= 2048, f"size is {self.size}; it must be from 1 to 2048")
        require(self.resize in get_args(ResizeRule), f"resize is {self.resize!r}; it must be squash or crop")
        require(
            self.interpolation in ("bilinear", "bicubic"),
            f"interpolation is {self.interpolation!r}; it must be bilinear or bicubic",
        )
        require(self.channels in ("rgb", "bgr"), f"channels is {self.channels!r}; it must be rgb or bgr")
        require(len(self.mean) == len(self.std) == 3, "mean and std have a number for each of three channels")


@dataclass(frozen=True)
class ModelSpec:
    """What travels with a model, in its ``model.json``.

    Attributes
    ----------
    name : str
        What people call the model.
    encoder, decoder : str
        The architecture, in timm's and in looksay's names.
    image : ImageSpec
        How images are prepared.
    grid : tuple of int
        Rows and columns of the encoder's feature grid: the shape of an attention map.
    decoding : DecodingOptions
        The search that was chosen on the val split.
    licence, training_data : str
        Terms of the weights; what the model was trained on.
    scores : dict
        Measured by running this very bundle: ``{"split": "val", "CIDEr-D": …}``.
    files : dict
        File name to sha256, for every other file of the bundle.
    """

    name: str
    encoder: str
    decoder: str
    image: ImageSpec
    grid: tuple[int, int]
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    licence: str = "unstated"
    training_data: str = "unstated"
    scores: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> ModelSpec:
        """Read what `to_json` wrote; unknown keys are left out, so that newer bundles still load.

        Raises
        ------
        TypeError, ValueError
            If a key is missing or a value is of the wrong kind.
        """
        values, image = _known(cls, data), _known(ImageSpec, data["image"])
        image.update(mean=tuple(image["mean"]), std=tuple(image["std"]))
        rows, columns = values["grid"]
        decoding = _known(DecodingOptions, data["decoding"])
        values.update(image=ImageSpec(**image), decoding=DecodingOptions(**decoding))
        values.update(grid=(rows, columns), files=dict(values["files"]))
        return cls(**values)


def _known(kind: type[Any], data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError(f"{data!r} is no JSON object")
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in data.items() if key in names}


@dataclass(frozen=True)
class Tag:
    """A noun that the CNN recognises in an image.

    Attributes
    ----------
    name : str
    probability : float
        That people would mention it.
    in_caption : bool
        Whether the caption names it.
    """

    name: str
    probability: float
    in_caption: bool


@dataclass(frozen=True)
class Caption:
    """A caption of an image.

    Attributes
    ----------
    text : str
        The caption; ``str(caption)`` is the same.
    tokens : tuple of str
        Its words.
    log_prob : float
        Natural log of the probability that the model gives to these words and the end.
    attention : ndarray of float32, shape (words, rows, columns), optional
        Where the model looked for each word; each map sums to 1. Filled on request.
    tags : tuple of Tag
        What the CNN recognises, the likeliest first; empty if the model has no table of nouns.
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    attention: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    tags: tuple[Tag, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return self.text
