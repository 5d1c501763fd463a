"""Images, models and captions as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from looksay.decoding.options import DecodingOptions
from looksay.errors import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ResizeRule = Literal["squash", "crop"]
"""``squash`` resizes the whole image to a square; ``crop`` keeps the aspect ratio and cuts out the centre."""

KEYWORD_PROBABILITY = 0.5
"""The probability from which on a tag is a keyword: people would mention it rather than not."""

Device = Literal["cpu", "cuda", "coreml", "directml", "openvino"]
"""The device that a model runs on."""


@dataclass(frozen=True)
class ImageSpec:
    """How an image is turned into the input of an encoder; an `OptionError` is raised for a value out of range."""

    size: int = 224  # height and width in pixels
    resize: ResizeRule = "squash"
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"  # with antialiasing, as Pillow has it
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)  # per channel, on the 0 to 1 scale: (pixel / 255 - mean) / std
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        is_valid = type(self.size) is int and 1 <= self.size <= 2048
        require(is_valid, f"size {self.size} is out of range: use 1 to 2048")
        choices = {"resize": ("squash", "crop"), "interpolation": ("bilinear", "bicubic"), "channels": ("rgb", "bgr")}
        for name, allowed in choices.items():
            value = getattr(self, name)
            require(value in allowed, f"{name} {value!r} is unknown: use {' or '.join(allowed)}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            require(len(values) == 3, f"{name} {values} needs one number for each channel: use 3")


@dataclass(frozen=True)
class ModelSpec:
    """The description of a model, stored in its ``model.json``."""

    name: str
    encoder: str  # timm's name
    decoder: str  # looksay's name
    image: ImageSpec
    grid: tuple[int, int]  # rows and columns of the encoder's feature map, and so of an attention map
    decoding: DecodingOptions = field(default_factory=DecodingOptions)  # the model's own, chosen on the val split
    licence: str = "unstated"  # of the weights
    training_data: str = "unstated"
    scores: dict[str, Any] = field(default_factory=dict)  # of this bundle: {"split": "val", "CIDEr-D": …}
    files: dict[str, str] = field(default_factory=dict)  # name to sha256, for every other file of the bundle

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> ModelSpec:
        """Read the output of `to_json`; unknown keys are ignored, so that newer bundles of the same format load.

        Raises a `TypeError`, `KeyError` or `ValueError` if a key is missing or a value is invalid.
        """
        values, image = _known_fields(cls, data), _known_fields(ImageSpec, data["image"])
        image.update(mean=tuple(image["mean"]), std=tuple(image["std"]))
        rows, columns = values["grid"]
        decoding = _known_fields(DecodingOptions, data["decoding"])
        values.update(image=ImageSpec(**image), decoding=DecodingOptions(**decoding))
        values.update(grid=(rows, columns), files=dict(values["files"]))
        return cls(**values)


def _known_fields(kind: type[Any], data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError(f"{data!r} is not a JSON object")
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in data.items() if key in names}


@dataclass(frozen=True)
class Tag:
    """What the encoder recognises in an image: an object or, with a word detector, a person, place or activity."""

    name: str
    probability: float  # that a person's caption mentions it
    in_caption: bool  # whether the model's caption mentions it


@dataclass(frozen=True)
class Caption:
    """A caption of an image; ``str(caption)`` is its text.

    `confidence` is the probability, 0 to 1, that the caption is right; None if the model cannot tell. `log_prob` is the
    natural log of the probability of the tokens and of the end of the caption. `attention`, if requested, has an
    attention map for each token, float32 (tokens, rows, columns), which sums to 1. `tags` are what is recognised, the
    most probable first; there are none if the model has no concept table.
    """

    text: str
    tokens: tuple[str, ...]
    log_prob: float
    confidence: float | None = field(default=None, kw_only=True)
    attention: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    tags: tuple[Tag, ...] = field(default=(), repr=False, compare=False)

    @property
    def keywords(self) -> tuple[str, ...]:
        """The names of the tags that people would mention with a probability of `KEYWORD_PROBABILITY` or more."""
        return tuple(tag.name for tag in self.tags if tag.probability >= KEYWORD_PROBABILITY)

    def __str__(self) -> str:
        return self.text
