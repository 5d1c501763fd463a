"""The sections of a recipe, one class each: every key with its type, default, range and help.

The recipe reader, its errors and ``docs/reference/recipes.md`` are made from these declarations; see `declared_keys`.
"""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from typing import Any, Literal, Self, get_type_hints

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from looksay.data import ReadOptions
from looksay.errors import require
from looksay.option_fields import BOUNDS, Option, declared
from looksay.types import ResizeRule

UNSTATED = "unstated"
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
ATTENTIVE = ("soft-attention", "adaptive", "top-down")
"""Decoders with attention over the feature map."""


@dataclass(frozen=True, config=STRICT)
class ModelOptions:
    """Name and terms of the model; they are stored in ``model.json`` and ``CARD.md``."""

    name: str = Field(default="unnamed", description="Name of the model.")
    licence: str = Field(default=UNSTATED, description="Licence of the model.")
    training_data: str = Field(default=UNSTATED, description="Training data and its terms.")
    encoder_licence: str = Field(default=UNSTATED, description="Licence of the encoder's pretrained weights.")
    limits: str = Field(default=UNSTATED, description="Known limits of the model.")
    examples: int = Field(
        default=0, ge=0, le=100, description="Val captions in the model card, good and bad, each with a reference."
    )


@dataclass(frozen=True, config=STRICT)
class DataOptions(ReadOptions):
    """The data set."""

    folder: str = Field(
        default="data/flickr8k", description="Folder of the data set, or the file that holds its captions."
    )
    cache: str = Field(
        default="", description="Folder of the image and feature caches; empty for the user's cache folder."
    )
    weight: float = Field(
        default=1.0, gt=0, le=100, description="Times that an epoch of a mixture has each training image."
    )


@dataclass(frozen=True, config=STRICT)
class MixedOptions(ReadOptions):
    """A further data set of a mixture.

    All sets are trained on together and share one vocabulary. The val score that selects the best checkpoint is the
    mean of the sets' scores, which are also logged one by one.
    """

    folder: str = Field(default="", description="Folder or file of the data set; required.")
    split: Literal["own", "train", "val"] = Field(
        default="own", description="Use the set's own splits, or all of it for training or validation."
    )
    weight: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="Times that an epoch has each training image; 0.5 draws half of them each epoch.",
    )

    @model_validator(mode="after")
    def _check_folder(self) -> Self:
        require(bool(self.folder), "folder '' is empty: name the folder of the data set")
        return self


@dataclass(frozen=True, config=STRICT)
class VocabularyOptions:
    """Which words the model knows."""

    min_count: int = Field(default=5, ge=1, description="Minimum number of occurrences of a word in the train split.")
    extend: bool = Field(
        default=False,
        description="Add such words to the vocabulary of training.start; embedding.vectors initialises them.",
    )
    concepts: bool = Field(
        default=False, description="Add names of the encoder's classes, so that captions can mention detected objects."
    )


@dataclass(frozen=True, config=STRICT)
class ImageOptions:
    """How images are resized to the encoder's square input."""

    size: int = Field(default=0, ge=0, le=2048, description="Side in pixels; 0 for the encoder's own.")
    resize: ResizeRule = Field(
        default="squash",
        description="Fit the whole image (squash), or keep its aspect ratio and crop the centre (crop).",
    )


@dataclass(frozen=True, config=STRICT)
class AugmentationOptions:
    """Random changes of training images; val images are never changed.

    With a frozen encoder, ``crop`` and ``color_jitter`` need at least 2 ``views``; the first is the image itself.
    """

    flip: bool = Field(default=True, description="Mirror half of the images.")
    swapped: tuple[str, ...] = Field(
        default=("left right",), description="Pairs of words that are swapped in the captions of a mirrored image."
    )
    crop: float = Field(
        default=1.0, gt=0, le=1, description="Smallest part of the area of a random crop; 1 for no crops."
    )
    color_jitter: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Largest change of brightness, contrast and saturation; 0.2 is 80 to 120 %.",
    )
    views: int = Field(default=1, ge=1, description="Random views of each image that a frozen encoder encodes once.")

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        for pair in self.swapped:
            require(len(pair.split()) == 2, f"swapped {pair!r} is not a pair: write two words, as in 'left right'")
        return self


@dataclass(frozen=True, config=STRICT)
class EncoderOptions:
    """The CNN and how it is fine-tuned.

    Stages are those of timm: the blocks of an EfficientNet, the four layers of a ResNet, single layers of a VGG.
    """

    name: str = Field(
        default="tf_efficientnet_lite1", description="Any CNN of timm (transformers have no feature map)."
    )
    weights: str = Field(default="hub", description="Weights: hub, random, or a safetensors file with timm's names.")
    features: Literal["grid", "pooled"] = Field(
        default="grid", description="The feature map, or one pooled vector an image."
    )
    trainable: bool = Field(default=False, description="Fine-tune the CNN; its BatchNorm statistics stay fixed.")
    frozen_epochs: int = Field(
        default=0, ge=0, description="Epochs before fine-tuning starts; until then features are cached."
    )
    stages: int = Field(default=0, ge=0, description="Number of last stages that are fine-tuned; 0 for all.")
    stage_epochs: int = Field(
        default=0,
        ge=0,
        description="Epochs between unfreezing a stage and the stage before it; 0 unfreezes all at once.",
    )
    learning_rate: float = Field(
        default=1e-5, gt=0, lt=1, description="Peak learning rate of the last stage, with warmup and cosine decay."
    )
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="Factor of the learning rate from each stage to the stage before it."
    )

    def unfrozen_stages(self, epoch: int) -> float:
        """Return how many of the last stages are trained in an epoch, counted from 0; inf for all."""
        if not self.trainable or epoch < self.frozen_epochs:
            return 0
        reached = 1 + (epoch - self.frozen_epochs) // self.stage_epochs if self.stage_epochs else math.inf
        return min(reached, self.stages or math.inf)


@dataclass(frozen=True, config=STRICT)
class EmbeddingOptions:
    """The word embedding."""

    size: int = Field(default=0, ge=0, description="Dimensions of a word vector; 0 for the decoder's size.")
    vectors: str = Field(
        default="", description="File of initial vectors in GloVe's text format, of this size; empty for random ones."
    )
    trainable: bool = Field(default=True, description="Train the word vectors.")
    tied: bool = Field(
        default=False, description="Share the word vectors with the output layer; size is the decoder's."
    )


@dataclass(frozen=True, config=STRICT)
class DecoderOptions:
    """The decoder: one of `looksay.models.registry.DECODERS` and its sizes."""

    name: str = Field(
        default="top-down", description="Design: merge, init-inject, par-inject, soft-attention, adaptive or top-down."
    )
    size: int = Field(default=512, ge=1, description="Hidden units.")
    heads: int = Field(default=8, ge=1, description="Attention heads of top-down.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Dropout on features, embedded words and output.")


@dataclass(frozen=True, config=STRICT)
class TrainingOptions:
    """Optimiser, schedule and hardware.

    Averaging of runs is that of Wortsman et al. 2022, scheduled sampling that of Bengio et al. 2015, the doubly
    stochastic term that of Xu et al. 2015.
    """

    run: str = Field(default="runs/flickr8k", description="Folder of the run.")
    start: tuple[str, ...] = Field(
        default=(),
        description="Runs to start from, with their vocabulary and the mean of their best weights; same model.",
    )
    epochs: int = Field(default=10, ge=0, description="Epochs; 0 keeps the mean of the runs in start.")
    batch_size: int = Field(default=32, ge=1, description="Images in a batch, over all devices.")
    learning_rate: float = Field(default=1e-3, gt=0, lt=1, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(default=0.01, ge=0, lt=1, description="Weight decay of matrices.")
    warmup: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Part of all steps over which the learning rate rises; then it decays as a cosine.",
    )
    gradient_clip: float = Field(default=1.0, gt=0, description="Maximum norm of the gradient.")
    label_smoothing: float = Field(default=0.1, ge=0, lt=1, description="Label smoothing of the cross-entropy.")
    doubly_stochastic: float = Field(
        default=0.0, ge=0, description="Weight of the doubly stochastic attention term; Xu et al. use 1."
    )
    captions_per_image: int = Field(
        default=5, ge=1, description="Captions of an image in a batch, drawn anew each epoch."
    )
    max_length: int = Field(default=20, ge=1, description="Maximum length of a training caption; longer ones are cut.")
    precision: Literal["auto", "32", "bf16"] = Field(
        default="auto", description="Precision; auto is bf16 where the hardware supports it."
    )
    devices: int = Field(default=1, ge=0, description="GPUs, or processes on CPU, on each machine; 0 for all GPUs.")
    nodes: int = Field(default=1, ge=1, description="Machines.")
    strategy: Literal["auto", "ddp"] = Field(
        default="auto", description="Lightning's strategy; several devices use ddp."
    )
    seed: int = Field(default=0, ge=0, description="Seed of initial weights and of the order of the data.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients are accumulated before a step.")
    patience: int = Field(
        default=0, ge=0, description="Stop after this many epochs without a better val CIDEr-D; 0 never stops."
    )
    ema_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Decay of the moving average of weights that is evaluated and saved; 0 for none.",
    )
    scheduled_sampling: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of input words sampled from the model in the last epoch; rises from 0.",
    )
    num_workers: int = Field(default=0, ge=0, description="Worker processes that load images.")
    length_buckets: int = Field(
        default=0, ge=0,
        description="Pad captions to multiples of this many words, for torch.compile; 0 pads to the longest.",
    )  # fmt: skip
    compile: bool = Field(default=False, description="Compile the model with torch.compile.")

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        require(bool(self.epochs or self.start), "epochs 0 is out of range: use 1 or more, or set training.start")
        return self


@dataclass(frozen=True, config=STRICT)
class DistillationOptions:
    """Distillation from trained captioners (Hinton et al. 2015).

    The teachers' 32 most probable words at each word of the references are computed once and cached.
    """

    teachers: tuple[str, ...] = Field(
        default=(), description="Runs with the same vocabulary; the mean of their probabilities is the soft target."
    )
    weight: float = Field(default=0.5, ge=0, le=1, description="Weight of the soft targets in the cross-entropy.")


@dataclass(frozen=True, config=STRICT)
class SelfCriticalOptions:
    """Self-critical sequence training with CIDEr-D as reward (Rennie et al. 2017).

    It needs a trained model: see ``training.start``. ``<end>`` counts as a word of the reward.
    """

    samples: int = Field(
        default=0,
        ge=0,
        description="Captions sampled for each image, 2 or more, each other's baseline; 0 for cross-entropy only.",
    )
    cross_entropy: float = Field(default=0.2, ge=0, le=1, description="Weight of the cross-entropy in the loss.")

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        require(self.samples != 1, "samples 1 is out of range: use 2 or more, or 0 for none")
        return self


def declared_keys(section: type[Any]) -> dict[str, Option]:
    """Return the keys of a section by name, in order; `section` may also be a dataclass of ``option()`` fields."""
    described = getattr(section, "__pydantic_fields__", {})
    if not described and is_dataclass(section):
        return {key.name: key for key in declared(section)}
    inherited = {key.name: key for base in section.__bases__ if base is ReadOptions for key in declared(base)}
    types = get_type_hints(section)
    keys = {
        name: Option(name, types[name], field.default, field.description, _bounds(field.metadata))
        for name, field in described.items()
        if name not in inherited
    }
    return keys | inherited


def _bounds(metadata: list[Any]) -> dict[str, float]:
    return {bound: getattr(limit, bound) for limit in metadata for bound in BOUNDS if hasattr(limit, bound)}
