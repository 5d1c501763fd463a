"""A recipe: a TOML file as frozen dataclasses, one a section.

Every key has a default; ``section.key=value`` on the command line changes one.
"""

from __future__ import annotations

import json
import tomllib
import typing
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from looksay.data import ReadOptions
from looksay.errors import OptionError, RecipeError
from looksay.specs import ResizeRule, SearchOptions, require


@dataclass(frozen=True)
class ModelFacts:
    """What the model is called, and its terms; they travel in ``model.json`` and ``CARD.md``."""

    name: str = "unnamed"
    licence: str = "unstated"
    training_data: str = "unstated"
    encoder_licence: str = "unstated"
    limits: str = "unstated"


@dataclass(frozen=True)
class DataOptions:
    """Where the pictures and captions are; ``cache`` is where decoded pictures are kept (default: the user's cache).

    The others are `looksay.data.ReadOptions`.
    """

    folder: str = "data/flickr8k"
    cache: str = ""
    image_column: str = ""
    caption_column: str = ""
    split_column: str = ""
    split_seed: int = 0

    @property
    def reading(self) -> ReadOptions:
        """What `looksay.data.read` is told."""
        return ReadOptions(self.image_column, self.caption_column, self.split_column, self.split_seed)


@dataclass(frozen=True)
class VocabularyOptions:
    """Words that occur at least ``min_count`` times in the train split are known."""

    min_count: int = 5

    def __post_init__(self) -> None:
        require(self.min_count >= 1, f"min_count is {self.min_count}; it must be 1 or more")


@dataclass(frozen=True)
class ImageOptions:
    """``size`` in pixels, 0 for the encoder's own; how a picture is made square."""

    size: int = 0
    resize: ResizeRule = "squash"

    def __post_init__(self) -> None:
        require(0 <= self.size <= 2048, f"size is {self.size}; it must be from 1 to 2048, or 0 for the encoder's own")


@dataclass(frozen=True)
class EncoderOptions:
    """Any timm CNN.

    Attributes
    ----------
    weights : str
        ``hub``, ``random`` or a safetensors file.
    features : {"grid", "pooled"}
        Its feature grid, or one vector for the picture.
    trainable : bool
        Whether it learns, after ``frozen_epochs`` epochs.
    learning_rate : float
        Of the encoder; its BatchNorm statistics are kept.
    """

    name: str = "tf_efficientnet_lite1"
    weights: str = "hub"
    features: Literal["grid", "pooled"] = "grid"
    trainable: bool = False
    frozen_epochs: int = 0
    learning_rate: float = 1e-5

    def __post_init__(self) -> None:
        require(self.frozen_epochs >= 0, f"frozen_epochs is {self.frozen_epochs}; it must be 0 or more")
        require(0 < self.learning_rate < 1, f"learning_rate is {self.learning_rate}; it must be between 0 and 1")


@dataclass(frozen=True)
class WordOptions:
    """The vectors of words.

    Attributes
    ----------
    size : int
        Features of a vector; 0 for the decoder's size.
    vectors : str
        A file in GloVe's text format that they start from; empty for random ones.
    trainable : bool
        Whether they learn.
    tied : bool
        Whether words are scored with the very vectors they are read with.
    """

    size: int = 0
    vectors: str = ""
    trainable: bool = True
    tied: bool = False

    def __post_init__(self) -> None:
        require(self.size >= 0, f"size is {self.size}; it must be 1 or more, or 0 for the decoder's size")


@dataclass(frozen=True)
class DecoderOptions:
    """One of `nets.decoders.DECODERS` and its sizes."""

    name: str = "top-down"
    size: int = 512
    heads: int = 8
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("size", "heads"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be 1 or more")
        require(0 <= self.dropout < 1, f"dropout is {self.dropout}; it must be from 0 to below 1")


@dataclass(frozen=True)
class TrainingOptions:
    """How to learn.

    Attributes
    ----------
    run : str
        Folder of the run.
    epochs, batch : int
        A batch is this many pictures, each with all its captions.
    learning_rate, weight_decay : float
        Of AdamW.
    warmup : float
        Part of all steps, 0 to 1, over which the rates rise from 0; they then fall to 0 as a cosine.
    clip : float
        Largest norm of the gradient.
    label_smoothing : float
    doubly_stochastic : float
        Weight of the wish that over a caption every cell is looked at alike often (Xu et al. 2015); 0 for none.
    flip : bool
        Whether half of the training pictures are mirrored.
    captions : int
        Captions of a picture in a batch; drawn anew each epoch where a picture has more.
    max_words : int
        Longer training captions are cut.
    precision : {"auto", "32", "bf16"}
        ``auto`` is bf16 where the hardware has it.
    seed : int
    accumulate : int
        Batches whose gradients are added up before a step.
    patience : int
        Stop after so many epochs without a better val CIDEr-D; 0 to go on to the end.
    scheduled_sampling : float
        Part of the words read, by the last epoch, that are the model's own instead of people's; it rises from 0 epoch
        by epoch (Bengio et al. 2015).
    """

    run: str = "runs/flickr8k"
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    clip: float = 1.0
    label_smoothing: float = 0.1
    doubly_stochastic: float = 0.0
    flip: bool = True
    captions: int = 5
    max_words: int = 20
    precision: Literal["auto", "32", "bf16"] = "auto"
    seed: int = 0
    accumulate: int = 1
    patience: int = 0
    scheduled_sampling: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "captions", "max_words", "accumulate"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("weight_decay", "warmup", "label_smoothing", "scheduled_sampling"):
            require(0 <= getattr(self, name) < 1, f"{name} is {getattr(self, name)}; it must be from 0 to below 1")
        require(0 < self.learning_rate < 1, f"learning_rate is {self.learning_rate}; it must be between 0 and 1")
        require(self.doubly_stochastic >= 0, f"doubly_stochastic is {self.doubly_stochastic}; it must be 0 or more")
        require(0 < self.clip < float("inf"), f"clip is {self.clip}; it must be above 0")
        for name in ("seed", "patience"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must be 0 or more")


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on."""

    model: ModelFacts = field(default_factory=ModelFacts)
    data: DataOptions = field(default_factory=DataOptions)
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    words: WordOptions = field(default_factory=WordOptions)
    decoder: DecoderOptions = field(default_factory=DecoderOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    search: SearchOptions = field(default_factory=SearchOptions)

    def to_toml(self) -> str:
        """Write every key, so that a run says what it was made with even if a default changes later."""
        lines: list[str] = []
        for section in fields(self):
            options = getattr(self, section.name)
            lines.append(f"[{section.name}]")
            lines += [f"{key.name} = {_toml(getattr(options, key.name))}" for key in fields(options)]
            lines.append("")
        return "\n".join(lines)


def load(file: Path, changes: typing.Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    file : Path
        A TOML file.
    changes : sequence of str
        Each ``section.key=value``, the value written as in TOML or as a bare word.

    Raises
    ------
    RecipeError
        If the file is missing or broken, or if a section, a key or a value is not known; with the known ones.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{file}: there is no such recipe; they are in the folder recipes/ of the source") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{file} is not a recipe in TOML: {error}") from error
    for change in changes:
        path, equals, text = change.partition("=")
        section, dot, key = path.partition(".")
        if not (equals and dot and isinstance(table.setdefault(section, {}), dict)):
            raise RecipeError(f"{change!r}: a change to a recipe is written section.key=value")
        table[section][key] = _parse(text)
    recipe: Recipe = _build(Recipe, table, "")
    return recipe


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _toml(value: Any) -> str:
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _build(kind: type[Any], table: dict[str, Any], path: str) -> Any:
    """Make a dataclass of a table, naming what is wrong."""
    hints = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        where = f"{path}{key}"
        if key not in hints:
            raise RecipeError(f"a recipe has no {where}; there are {', '.join(path + name for name in hints)}")
        if is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise RecipeError(f"{where} is a section with keys, not the value {value!r}")
            values[key] = _build(hints[key], value, f"{where}.")
        else:
            values[key] = _check(where, value, hints[key])
    try:
        return kind(**values)
    except OptionError as error:
        raise RecipeError(f"{path.rstrip('.')}: {error}") from error


def _check(where: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if str(value) not in get_args(kind):
            raise RecipeError(f"{where} is {value!r}; it must be one of {', '.join(get_args(kind))}")
        return str(value)
    if get_origin(kind) is tuple:
        if not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise RecipeError(f"{where} is {value!r}; it must be a list of texts")
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind is str and type(value) in (int, float):
        return str(value)
    if type(value) is not kind:
        raise RecipeError(f"{where} is {value!r}; it must be of type {kind.__name__}")
    return value
