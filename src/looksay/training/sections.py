"""The sections of a recipe: one frozen dataclass each. Every key has a default."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from looksay.data import ReadOptions
from looksay.errors import require
from looksay.types import ResizeRule

UNSTATED = "unstated"


@dataclass(frozen=True)
class ModelOptions:
    """What the model is called, and its terms; they travel in ``model.json`` and ``CARD.md``.

    Attributes
    ----------
    name, licence, training_data, encoder_licence, limits : str
    examples : int
        How many captions of the val split the card shows, good and bad, each with one that a person wrote.
    """

    name: str = "unnamed"
    licence: str = UNSTATED
    training_data: str = UNSTATED
    encoder_licence: str = UNSTATED
    limits: str = UNSTATED
    examples: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.examples <= 100, f"examples is {self.examples}; it must be from 0 to 100")


@dataclass(frozen=True)
class DataOptions(ReadOptions):
    """Where the images and captions are.

    Attributes
    ----------
    folder : str
    cache : str
        Where decoded images are kept; empty for the user's cache.
    weight : float
        In a mixture, how often an epoch has each of its training images; see `MixedOptions`.
    """

    folder: str = "data/flickr8k"
    cache: str = ""
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_weight(self.weight)


@dataclass(frozen=True)
class MixedOptions(ReadOptions):
    """A further data set, read as that of ``[data]`` is.

    Attributes
    ----------
    folder : str
    split : {"own", "train", "val"}
        Its own splits, or all of it for training or for validation.
    weight : float
        How often an epoch has each of its training images, at most 100: 2 for twice, 0.5 for another half each time.
    """

    folder: str = ""
    split: Literal["own", "train", "val"] = "own"
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(bool(self.folder), "folder is empty; name the data set")
        _check_weight(self.weight)


def _check_weight(weight: float) -> None:
    require(0 < weight <= 100, f"weight is {weight}; it must be above 0 and at most 100")


@dataclass(frozen=True)
class VocabularyOptions:
    """Words that occur at least ``min_count`` times in the train split are known.

    Attributes
    ----------
    min_count : int
    extend : bool
        Whether a run that starts from others takes up such words, too. What it knows of them at first is what
        ``embedding.vectors`` says; see `train.growing`.
    concepts : bool
        Whether words are taken up that no caption has, but that the encoder's classes are called. `looksay export`
        then adds a table of them, and the captioner says them where the encoder recognises them.
    """

    min_count: int = 5
    extend: bool = False
    concepts: bool = False

    def __post_init__(self) -> None:
        require(self.min_count >= 1, f"min_count is {self.min_count}; it must be 1 or more")


@dataclass(frozen=True)
class ImageOptions:
    """``size`` in pixels, 0 for the encoder's own; how an image is made square."""

    size: int = 0
    resize: ResizeRule = "squash"

    def __post_init__(self) -> None:
        require(0 <= self.size <= 2048, f"size is {self.size}; it must be from 1 to 2048, or 0 for the encoder's own")


@dataclass(frozen=True)
class AugmentationOptions:
    """How training images are changed, anew each time; val images never are.

    Attributes
    ----------
    flip : bool
        Whether half of them are mirrored.
    swapped : tuple of str
        Each two words that change places in the captions of a mirrored image.
    crop : float
        Smallest part of an image's area that is cut out and shown at full size, above 0 to 1; 1 for the whole.
    color_jitter : float
        By how much brightness, contrast and saturation change at most, 0 to 1: 0.2 is from 80 to 120 %.
    views : int
        How many crops and colours of each image (and of its mirror image) a frozen encoder looks at; the first is
        the image as it is.
    """

    flip: bool = True
    swapped: tuple[str, ...] = ("left right",)
    crop: float = 1.0
    color_jitter: float = 0.0
    views: int = 1

    def __post_init__(self) -> None:
        require(0 < self.crop <= 1, f"crop is {self.crop}; it must be above 0 and at most 1")
        require(0 <= self.color_jitter <= 1, f"color_jitter is {self.color_jitter}; it must be from 0 to 1")
        require(self.views >= 1, f"views is {self.views}; it must be 1 or more")
        for pair in self.swapped:
            require(len(pair.split()) == 2, f"swapped has {pair!r}; each is two words, as in 'left right'")


@dataclass(frozen=True)
class EncoderOptions:
    """Any timm CNN.

    Attributes
    ----------
    weights : str
        ``hub``, ``random`` or a safetensors file.
    features : {"grid", "pooled"}
        Its feature grid, or one vector for the image.
    trainable : bool
        Whether it learns; its BatchNorm statistics are kept.
    frozen_epochs : int
        Epochs before it begins to; till then its features are looked up, as if it were never to learn.
    stages : int
        How many of its stages learn, the last ones; 0 for all.
    stage_epochs : int
        Epochs between one stage's beginning to learn and that of the stage before it; 0 for all at once.
    learning_rate : float
        Of the last stage. A stage's rate rises when it begins to learn, and falls to 0 at the end.
    layer_decay : float
        The part of a stage's rate that the stage before it has, above 0 to 1.
    """

    name: str = "tf_efficientnet_lite1"
    weights: str = "hub"
    features: Literal["grid", "pooled"] = "grid"
    trainable: bool = False
    frozen_epochs: int = 0
    stages: int = 0
    stage_epochs: int = 0
    learning_rate: float = 1e-5
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        for name in ("frozen_epochs", "stages", "stage_epochs"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must be 0 or more")
        require(0 < self.learning_rate < 1, f"learning_rate is {self.learning_rate}; it must be between 0 and 1")
        require(0 < self.layer_decay <= 1, f"layer_decay is {self.layer_decay}; it must be above 0 and at most 1")

    def unfrozen_stages(self, epoch: int) -> float:
        """Return how many stages learn in an epoch, counted from the last one and from epoch 0; inf for all."""
        if not self.trainable or epoch < self.frozen_epochs:
            return 0
        reached = 1 + (epoch - self.frozen_epochs) // self.stage_epochs if self.stage_epochs else math.inf
        return min(reached, self.stages or math.inf)


@dataclass(frozen=True)
class EmbeddingOptions:
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


ATTENTIVE = ("soft-attention", "adaptive", "top-down")
"""Decoders that look at another part of the grid for each word."""


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
    start : tuple of str
        Folders of runs to start from: with their words, and the mean of their best weights (Wortsman et al. 2022).
        Empty to start anew.
    epochs : int
        0 to keep the mean of the runs in `start` as it is.
    batch_size : int
        CaptionDataset in a batch, each with all its captions; all devices share them.
    learning_rate, weight_decay : float
        Of AdamW.
    warmup : float
        Part of all steps, 0 to 1, over which the rates rise from 0; they then fall to 0 as a cosine.
    gradient_clip : float
        Largest norm of the gradient.
    label_smoothing : float
    doubly_stochastic : float
        Weight of the wish that over a caption every cell is looked at alike often (Xu et al. 2015); 0 for none.
    captions_per_image : int
        Captions of an image in a batch; drawn anew each epoch where an image has more.
    max_length : int
        Longer training captions are cut.
    precision : {"auto", "32", "bf16"}
        ``auto`` is bf16 where the hardware has it.
    devices : int
        GPUs, or processes where there is none, on each machine; 0 for all GPUs.
    nodes : int
        Machines.
    strategy : {"auto", "ddp"}
        How devices work together: ``auto`` is Lightning's choice, which is ddp for several.
    seed : int
    accumulate : int
        Batches whose gradients are added up before a step.
    patience : int
        Stop after so many epochs without a better val CIDEr-D; 0 to go on to the end.
    ema_decay : float
        The model that is judged and kept is a moving average of the weights, of which a step keeps this part (less
        early on, unless the run starts from others); 0 for the weights as they are.
    scheduled_sampling : float
        Part of the words read, by the last epoch, that are the model's own instead of people's; it rises from 0 epoch
        by epoch (Bengio et al. 2015).
    num_workers : int
        Processes on each device that prepare batches; 0 to prepare them in the training process.
    length_buckets : int
        Pad captions to a multiple of this many steps, so that `compile` meets few shapes; 0 for no extra padding.
    compile : bool
        Compile the decoder with ``torch.compile``; needs a C++ compiler.
    """

    run: str = "runs/flickr8k"
    start: tuple[str, ...] = ()
    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    gradient_clip: float = 1.0
    label_smoothing: float = 0.1
    doubly_stochastic: float = 0.0
    captions_per_image: int = 5
    max_length: int = 20
    precision: Literal["auto", "32", "bf16"] = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: Literal["auto", "ddp"] = "auto"
    seed: int = 0
    accumulate: int = 1
    patience: int = 0
    ema_decay: float = 0.0
    scheduled_sampling: float = 0.0
    num_workers: int = 0
    length_buckets: int = 0
    compile: bool = False

    def __post_init__(self) -> None:
        require(self.epochs >= (not self.start), f"epochs is {self.epochs}; it must be 1 or more, or 0 with a start")
        for name in ("batch_size", "captions_per_image", "max_length", "accumulate", "nodes"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("weight_decay", "warmup", "label_smoothing", "ema_decay", "scheduled_sampling"):
            require(0 <= getattr(self, name) < 1, f"{name} is {getattr(self, name)}; it must be from 0 to below 1")
        require(0 < self.learning_rate < 1, f"learning_rate is {self.learning_rate}; it must be between 0 and 1")
        require(self.doubly_stochastic >= 0, f"doubly_stochastic is {self.doubly_stochastic}; it must be 0 or more")
        require(0 < self.gradient_clip < float("inf"), f"gradient_clip is {self.gradient_clip}; it must be above 0")
        for name in ("seed", "patience", "devices", "num_workers", "length_buckets"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must be 0 or more")


@dataclass(frozen=True)
class DistillationOptions:
    """Learning from what trained captioners would say at each word of people's captions (Hinton et al. 2015).

    Attributes
    ----------
    teachers : tuple of str
        Folders of runs; the mean of their probabilities is learned. Empty for none.
    weight : float
        Part of the loss of people's captions that is theirs, 0 to 1.
    """

    teachers: tuple[str, ...] = ()
    weight: float = 0.5

    def __post_init__(self) -> None:
        require(0 <= self.weight <= 1, f"weight is {self.weight}; it must be from 0 to 1")


@dataclass(frozen=True)
class SelfCriticalOptions:
    """Learning from captions that the model draws itself, by their CIDEr-D (Rennie et al. 2017).

    Attributes
    ----------
    samples : int
        Captions drawn of each image, 2 or more; 0 to learn from people's captions alone.
    cross_entropy : float
        Part of the loss that is still people's captions, 0 to 1: it keeps the language whole.
    """

    samples: int = 0
    cross_entropy: float = 0.2

    def __post_init__(self) -> None:
        require(self.samples == 0 or self.samples >= 2, f"samples is {self.samples}; it must be 2 or more, or 0")
        require(0 <= self.cross_entropy <= 1, f"cross_entropy is {self.cross_entropy}; it must be from 0 to 1")
