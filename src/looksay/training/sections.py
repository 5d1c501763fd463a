"""The sections of a recipe, one class each: every key with its type, default, range and help.

The recipe reader, its errors and ``docs/reference/recipes.md`` are made from these declarations; see `declared_keys`.
"""

from __future__ import annotations

import math
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


def key(default: Any, text: str, **bounds: Any) -> Any:
    """Return a key with its help and its bounds (``ge``, ``le``, ``gt``, ``lt``)."""
    return Field(default=default, description=text, **bounds)


@dataclass(frozen=True, config=STRICT)
class ModelOptions:
    """Name and terms of the model; they are stored in ``model.json`` and ``CARD.md``."""

    name: str = key("unnamed", "Name of the model.")
    licence: str = key(UNSTATED, "Licence of the model.")
    training_data: str = key(UNSTATED, "Terms and origin of the training data; what was read is stated before them.")
    encoder_licence: str = key(UNSTATED, "Licence of the encoder's pretrained weights.")
    limits: str = key(UNSTATED, "Known limits of the model.")
    examples: int = key(0, "Val captions in the model card, good and bad, each with a reference.", ge=0, le=100)


@dataclass(frozen=True, config=STRICT)
class DataOptions(ReadOptions):
    """The data set."""

    folder: str = key("data/flickr8k", "Folder of the data set, or the file that holds its captions.")
    cache: str = key("", "Folder of the image and feature caches; empty for the user's cache folder.")
    weight: float = key(1.0, "Times that an epoch of a mixture has each training image.", gt=0, le=100)


@dataclass(frozen=True, config=STRICT)
class MixedOptions(ReadOptions):
    """A further data set of a mixture.

    All sets are trained on together and share one vocabulary. The val score that selects the best checkpoint is the
    mean of the sets' scores, which are also logged one by one.
    """

    folder: str = key("", "Folder or file of the data set; required.")
    split: Literal["own", "train", "val"] = key(
        "own", "Use the set's own splits, or all of it for training or validation."
    )
    weight: float = key(
        1.0, "Times that an epoch has each training image; 0.5 draws half of them each epoch.", gt=0, le=100
    )

    @model_validator(mode="after")
    def _check_folder(self) -> Self:
        require(bool(self.folder), "folder '' is empty: name the folder of the data set")
        return self


@dataclass(frozen=True, config=STRICT)
class VocabularyOptions:
    """Which words the model knows."""

    min_count: int = key(5, "Minimum number of occurrences of a word in the train split.", ge=1)
    extend: bool = key(False, "Add such words to the vocabulary of training.start; embedding.vectors initialises them.")
    concepts: bool = key(False, "Add names of the encoder's classes, so that captions can mention detected objects.")


@dataclass(frozen=True, config=STRICT)
class ImageOptions:
    """How images are resized to the encoder's square input."""

    size: int = key(0, "Side in pixels; 0 for the encoder's own.", ge=0, le=2048)
    resize: ResizeRule = key(
        "squash", "Fit the whole image (squash), or keep its aspect ratio and crop the centre (crop)."
    )


@dataclass(frozen=True, config=STRICT)
class AugmentationOptions:
    """Random changes of training images; val images are never changed.

    With a frozen encoder, ``crop``, ``color_jitter`` and ``jpeg`` need at least 2 ``views``; the first is the image
    itself.
    """

    flip: bool = key(True, "Mirror half of the images.")
    swapped: tuple[str, ...] = key(
        ("left right",), "Pairs of words that are swapped in the captions of a mirrored image."
    )
    crop: float = key(1.0, "Smallest part of the area of a random crop; 1 for no crops.", gt=0, le=1)
    color_jitter: float = key(
        0.0, "Largest change of brightness, contrast and saturation; 0.2 is 80 to 120 %.", ge=0, le=1
    )
    jpeg: int = key(100, "Lowest quality at which images are saved again as JPEG; 100 for never.", ge=1, le=100)
    views: int = key(1, "Random views of each image that a frozen encoder encodes once.", ge=1)

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

    name: str = key("tf_efficientnet_lite1", "Any CNN of timm (transformers have no feature map).")
    weights: str = key("hub", "Weights: hub, random, or a safetensors file with timm's names.")
    features: Literal["grid", "pooled", "mean"] = key(
        "grid", "The feature map, the vector that the classifier reads (VGG: of its dense layers), or the map's mean."
    )
    trainable: bool = key(False, "Fine-tune the CNN; its BatchNorm statistics stay fixed.")
    frozen_epochs: int = key(0, "Epochs before fine-tuning starts; until then features are cached.", ge=0)
    stages: int = key(0, "Number of last stages that are fine-tuned; 0 for all.", ge=0)
    stage_epochs: int = key(
        0, "Epochs between unfreezing a stage and the stage before it; 0 unfreezes all at once.", ge=0
    )
    learning_rate: float = key(1e-5, "Peak learning rate of the last stage, with warmup and cosine decay.", gt=0, lt=1)
    layer_decay: float = key(1.0, "Factor of the learning rate from each stage to the stage before it.", gt=0, le=1)

    def unfrozen_stages(self, epoch: int) -> float:
        """Return how many of the last stages are trained in an epoch, counted from 0; inf for all."""
        if not self.trainable or epoch < self.frozen_epochs:
            return 0
        reached = 1 + (epoch - self.frozen_epochs) // self.stage_epochs if self.stage_epochs else math.inf
        return min(reached, self.stages or math.inf)


@dataclass(frozen=True, config=STRICT)
class EmbeddingOptions:
    """The word embedding."""

    size: int = key(0, "Dimensions of a word vector; 0 for the decoder's size.", ge=0)
    vectors: str = key("", "File of initial vectors in GloVe's text format, of this size; empty for random ones.")
    trainable: bool = key(True, "Train the word vectors.")
    tied: bool = key(False, "Share the word vectors with the output layer; size is the decoder's.")


@dataclass(frozen=True, config=STRICT)
class DecoderOptions:
    """The decoder: one of `looksay.models.caption_model.DECODERS` and its sizes."""

    name: str = key("top-down", "Design: merge, init-inject, par-inject, soft-attention, adaptive or top-down.")
    size: int = key(512, "Hidden units.", ge=1)
    heads: int = key(8, "Attention heads of top-down.", ge=1)
    dropout: float = key(0.5, "Dropout on features, embedded words and output.", ge=0, lt=1)


@dataclass(frozen=True, config=STRICT)
class DetectorOptions:
    """The word detector, whose probabilities are an input of the decoder.

    It learns how many of an image's captions have each word (concepts or attributes: Wu et al. 2016, You et al. 2016).
    """

    words: int = key(0, "Number of words: the most frequent ones but function words; 0 for no detector.", ge=0)
    size: int = key(1024, "Hidden units.", ge=1)
    dropout: float = key(0.5, "Dropout on the features and on the hidden units.", ge=0, lt=1)
    weight: float = key(0.1, "Weight of its loss.", ge=0)


@dataclass(frozen=True, config=STRICT)
class TrainingOptions:
    """Optimiser, schedule and hardware.

    Averaging of runs is that of Wortsman et al. 2022, scheduled sampling that of Bengio et al. 2015, the doubly
    stochastic term that of Xu et al. 2015.
    """

    run: str = key("runs/flickr8k", "Folder of the run.")
    start: tuple[str, ...] = key(
        (), "Runs to start from, with their vocabulary and the mean of their best weights; same decoder."
    )
    epochs: int = key(10, "Epochs; 0 keeps the mean of the runs in start.", ge=0)
    batch_size: int = key(32, "Images in a batch, over all devices.", ge=1)
    learning_rate: float = key(1e-3, "Peak learning rate of AdamW.", gt=0, lt=1)
    weight_decay: float = key(0.01, "Weight decay of matrices.", ge=0, lt=1)
    warmup: float = key(
        0.05, "Part of all steps over which the learning rate rises; then it decays as a cosine.", ge=0, lt=1
    )
    gradient_clip: float = key(1.0, "Maximum norm of the gradient.", gt=0)
    label_smoothing: float = key(0.1, "Label smoothing of the cross-entropy.", ge=0, lt=1)
    doubly_stochastic: float = key(0.0, "Weight of the doubly stochastic attention term; Xu et al. use 1.", ge=0)
    captions_per_image: int = key(5, "Captions of an image in a batch, sampled again each epoch.", ge=1)
    max_length: int = key(20, "Maximum length of a training caption; longer ones are cut.", ge=1)
    precision: Literal["auto", "32", "bf16"] = key("auto", "Precision; auto is bf16 where the hardware supports it.")
    devices: int = key(1, "GPUs, or processes on CPU, on each machine; 0 for all GPUs.", ge=0)
    nodes: int = key(1, "Machines.", ge=1)
    strategy: Literal["auto", "ddp"] = key("auto", "Lightning's strategy; several devices use ddp.")
    seed: int = key(0, "Seed of initial weights and of the order of the data.", ge=0, le=2**63 - 1)
    accumulate: int = key(1, "Batches whose gradients are accumulated before a step.", ge=1)
    patience: int = key(0, "Stop after this many epochs without a better val CIDEr-D; 0 never stops.", ge=0)
    ema_decay: float = key(
        0.0, "Decay of the moving average of weights that is evaluated and saved; 0 for none.", ge=0, lt=1
    )
    scheduled_sampling: float = key(
        0.0, "Share of input words sampled from the model in the last epoch; rises from 0.", ge=0, lt=1
    )
    num_workers: int = key(0, "Worker processes that load images.", ge=0)
    length_buckets: int = key(
        0, "Pad captions to multiples of this many words, for torch.compile; 0 pads to the longest.", ge=0
    )
    compile: bool = key(False, "Compile the model with torch.compile.")

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        require(bool(self.epochs or self.start), "epochs 0 is out of range: use 1 or more, or set training.start")
        return self


@dataclass(frozen=True, config=STRICT)
class DistillationOptions:
    """Distillation from trained captioners (Hinton et al. 2015).

    The teachers' 32 most probable words at each word of the references are computed once and cached.
    """

    teachers: tuple[str, ...] = key(
        (), "Runs whose mean probabilities are the soft targets, of the words that both vocabularies have."
    )
    weight: float = key(0.5, "Weight of the soft targets in the cross-entropy.", ge=0, le=1)


@dataclass(frozen=True, config=STRICT)
class SelfCriticalOptions:
    """Self-critical sequence training with CIDEr-D as reward (Rennie et al. 2017).

    It needs a trained model: see ``training.start``. ``<end>`` counts as a word of the reward.
    """

    samples: int = key(
        0, "Captions sampled for each image, 2 or more, each other's baseline; 0 for cross-entropy only.", ge=0
    )
    cross_entropy: float = key(0.2, "Weight of the cross-entropy, with the terms added to it, in the loss.", ge=0, le=1)
    word_precision: float = key(
        0.0, "Weight in the reward of the share of a caption's words that a reference of its image has.", ge=0
    )

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        require(self.samples != 1, "samples 1 is out of range: use 2 or more, or 0 for none")
        return self


def declared_keys(section: type[Any]) -> dict[str, Option]:
    """Return the keys of a section by name, in order; `section` may also be a dataclass of ``option()`` fields."""
    if not hasattr(section, "__pydantic_fields__"):
        return {option.name: option for option in declared(section)}
    inherited = {option.name: option for option in declared(ReadOptions)} if issubclass(section, ReadOptions) else {}
    types = get_type_hints(section)
    keys = {}
    for name, field in section.__pydantic_fields__.items():
        limits = {bound: getattr(item, bound) for item in field.metadata for bound in BOUNDS if hasattr(item, bound)}
        keys[name] = Option(name, types[name], field.default, field.description, limits)
    return {name: option for name, option in keys.items() if name not in inherited} | inherited
