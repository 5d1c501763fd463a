"""What a picture, a model, a search and a caption are: frozen dataclasses and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from looksay.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ResizeRule = Literal["squash", "crop"]
"""``squash`` fits the whole picture and forgets its aspect ratio; ``crop`` keeps the ratio and cuts the centre."""

Device = Literal["cpu", "cuda", "coreml", "directml", "openvino"]
"""What a model runs on, in the words of the command line."""


def require(condition: bool, message: str) -> None:
    """Raise an `OptionError` unless `condition` holds."""
    if not condition:
        raise OptionError(message)


@dataclass(frozen=True)
class ImageSpec:
    """How a picture becomes the input of an encoder.

    Attributes
    ----------
    size : int
        Height and width in pixels.
    resize : {"squash", "crop"}
        How a picture that is not square becomes square.
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
class SearchOptions:
    """How captions are searched for.

    Attributes
    ----------
    beam : int
        Captions kept in parallel for each picture, 1 to 100; 1 is greedy search.
    n_best : int
        Captions returned for each picture, at most ``beam``.
    max_words : int
        Longest caption.
    length_exponent : float
        Finished captions are ranked by ``log_prob / steps ** length_exponent`` (``<end>`` is a step):
        0 favours short captions, 1 ranks by the mean log-probability of a word.
    min_words : int
        Shortest caption.
    no_repeat : int
        No run of so many words is said twice; 0 for no such rule.
    no_echo : bool
        No word is said twice but small ones, as articles, prepositions and "another"; for English.
    no_dangling : bool
        No caption ends in an article, a preposition or a conjunction.
    forbidden : tuple of str
        Words that are never said.
    prefix : str
        How every caption begins.
    groups : int
        Groups of the beam that keep away from each other's words (diverse beam search, Vijayakumar et al. 2018);
        ``beam`` is a multiple of it.
    diversity : float
        How much a word costs, in log-probability, that an earlier group says at the same step.
    temperature : float
        Above 0, captions are drawn at random and not searched for: `n_best` of them, whatever the beam. 1 draws from
        the model's own probabilities, less is more cautious.
    top_k : int
        Draw from the so many likeliest words; 0 for all.
    top_p : float
        Draw from the likeliest words that have this much probability together (Holtzman et al. 2020).
    seed : int
        Of drawing.
    tags : bool
        Whether a noun that the CNN is sure of, and that the caption lacks, is asked for: `looksay.guided`. Captions
        that are drawn at random never are.

    Raises
    ------
    OptionError
        If a value is out of its range.
    """

    beam: int = 3
    n_best: int = 1
    max_words: int = 20
    length_exponent: float = 0.7
    min_words: int = 0
    no_repeat: int = 0
    no_echo: bool = False
    no_dangling: bool = False
    forbidden: tuple[str, ...] = ()
    prefix: str = ""
    groups: int = 1
    diversity: float = 0.5
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    tags: bool = True

    def __post_init__(self) -> None:
        for name in ("beam", "n_best", "max_words", "min_words", "no_repeat", "groups", "top_k", "seed"):
            require(type(getattr(self, name)) is int, f"{name} is {getattr(self, name)!r}; it must be a whole number")
        require(1 <= self.beam <= 100, f"beam is {self.beam}; it must be from 1 to 100")
        most, name = (100, "100") if self.temperature else (self.beam, f"beam ({self.beam})")
        require(1 <= self.n_best <= most, f"n_best is {self.n_best}; it must be from 1 to {name}")
        require(self.max_words >= 1, f"max_words is {self.max_words}; it must be 1 or more")
        require(0 <= self.length_exponent <= 2, f"length_exponent is {self.length_exponent}; it must be from 0 to 2")
        least = f"min_words is {self.min_words}; it must be from 0 to max_words ({self.max_words})"
        require(0 <= self.min_words <= self.max_words, least)
        for name in ("no_repeat", "top_k", "seed", "diversity"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must be 0 or more")
        fits = self.groups >= 1 and self.beam % self.groups == 0
        require(fits, f"groups is {self.groups}; the beam ({self.beam}) must be a multiple of it")
        require(0 <= self.temperature <= 10, f"temperature is {self.temperature}; it must be from 0 to 10")
        require(0 < self.top_p <= 1, f"top_p is {self.top_p}; it must be above 0 and at most 1")
        texts = isinstance(self.forbidden, tuple) and all(isinstance(word, str) for word in self.forbidden)
        require(texts and isinstance(self.prefix, str), "forbidden is a tuple of words, and prefix a text")


class SearchChanges(TypedDict, total=False):
    """`SearchOptions` as keyword arguments, each optional."""

    beam: int
    n_best: int
    max_words: int
    length_exponent: float
    min_words: int
    no_repeat: int
    no_echo: bool
    no_dangling: bool
    forbidden: tuple[str, ...]
    prefix: str
    groups: int
    diversity: float
    temperature: float
    top_k: int
    top_p: float
    seed: int
    tags: bool


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
        How pictures are prepared.
    grid : tuple of int
        Rows and columns of the encoder's feature grid: the shape of an attention map.
    search : SearchOptions
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
    search: SearchOptions = SearchOptions()
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
        search = _known(SearchOptions, data["search"])
        search.update(forbidden=tuple(search.get("forbidden", ())))
        values.update(image=ImageSpec(**image), search=SearchOptions(**search))
        values.update(grid=(rows, columns), files=dict(values["files"]))
        return cls(**values)


def _known(kind: type[Any], data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError(f"{data!r} is no JSON object")
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in data.items() if key in names}


@dataclass(frozen=True)
class Tag:
    """A noun that the CNN recognises in a picture.

    Attributes
    ----------
    noun : str
    probability : float
        That people would mention it.
    said : bool
        Whether the caption names it.
    """

    noun: str
    probability: float
    said: bool


@dataclass(frozen=True)
class Caption:
    """A caption of a picture.

    Attributes
    ----------
    text : str
        The caption; ``str(caption)`` is the same.
    words : tuple of str
        Its words.
    log_prob : float
        Natural log of the probability that the model gives to these words and the end.
    attention : ndarray of float32, shape (words, rows, columns), optional
        Where the model looked for each word; each map sums to 1. Filled on request.
    tags : tuple of Tag
        What the CNN recognises, the likeliest first; empty if the model has no table of nouns.
    """

    text: str
    words: tuple[str, ...]
    log_prob: float
    attention: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    tags: tuple[Tag, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return self.text
