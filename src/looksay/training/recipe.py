"""A whole recipe: its sections, what in it has no effect, and how it is written down."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from looksay.decoding.options import DecodingOptions
from looksay.training.sections import (
    ATTENTIVE,
    AugmentationOptions,
    DataOptions,
    DecoderOptions,
    DistillationOptions,
    EmbeddingOptions,
    EncoderOptions,
    ImageOptions,
    MixedOptions,
    ModelOptions,
    SelfCriticalOptions,
    TrainingOptions,
    VocabularyOptions,
)


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    mixture: dict[str, MixedOptions] = field(default_factory=dict)
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    decoder: DecoderOptions = field(default_factory=DecoderOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    self_critical: SelfCriticalOptions = field(default_factory=SelfCriticalOptions)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)

    def idle(self) -> list[str]:
        """Return a sentence for each option that is set and changes nothing, because of what another one says."""
        encoder, augmentation = self.encoder, self.augmentation
        varied, several = _differ(augmentation, "crop", "color_jitter"), augmentation.views > 1
        attends = self.decoder.name in ATTENTIVE and encoder.features == "grid"
        begins, ends = encoder.unfrozen_stages(0), encoder.unfrozen_stages(max(0, self.training.epochs - 1))
        cases = {
            "encoder.frozen_epochs, stages, stage_epochs and layer_decay are for an encoder that learns; "
            "set encoder.trainable": (
                not encoder.trainable and _differ(encoder, "frozen_epochs", "stages", "stage_epochs", "layer_decay")
            ),
            "encoder.trainable: all epochs are frozen_epochs": encoder.trainable and not ends,
            "augmentation.crop and color_jitter: a frozen encoder looks at augmentation.views images; set that above 1": (
                varied and not several and not ends
            ),
            "augmentation.views without crop and color_jitter: all views are the same": several and not varied,
            "augmentation.views: an encoder that learns from the start sees each image anew": several and begins,
            "decoder.heads are top-down's": _differ(self.decoder, "heads") and self.decoder.name != "top-down",
            "training.doubly_stochastic is for a decoder with attention and encoder.features=grid": (
                _differ(self.training, "doubly_stochastic") and not attends
            ),
            "vocabulary.concepts is for a run with vocabulary.extend": self.vocabulary.concepts
            and not self.vocabulary.extend,
            "data.weight is for a recipe with [mixture.NAME]": _differ(self.data, "weight") and not self.mixture,
            "vocabulary.extend is for a run with training.start": self.vocabulary.extend and not self.training.start,
            f"{self.decoder.name}'s attention: encoder.features=pooled leaves one place to look at": (
                self.decoder.name in ATTENTIVE and not attends
            ),
        }
        return [f"no effect: {case}" for case, holds in cases.items() if holds]

    def portable(self) -> Recipe:
        """Return it with the names of files and folders, and not where they lay on the maker's machine."""
        training, distillation = self.training, self.distillation
        start, teachers = (tuple(Path(each).name for each in runs) for runs in (training.start, distillation.teachers))
        return replace(
            self,
            data=replace(self.data, folder=Path(self.data.folder).name, cache=""),
            mixture={name: replace(each, folder=Path(each.folder).name) for name, each in self.mixture.items()},
            encoder=replace(self.encoder, weights=Path(self.encoder.weights).name),
            embedding=replace(self.embedding, vectors=Path(self.embedding.vectors).name),
            training=replace(training, run=Path(training.run).name, start=start),
            distillation=replace(distillation, teachers=teachers),
        )

    def to_toml(self, *, brief: bool = False) -> str:
        """Write every key, so that a run says what it was made with even if a default changes later.

        Parameters
        ----------
        brief : bool
            Leave out what is as it is by default.
        """
        lines: list[str] = []
        sections = {section.name: getattr(self, section.name) for section in fields(self)}
        mixed = sections.pop("mixture")
        sections |= {f"mixture.{_key(name)}": options for name, options in mixed.items()}
        for section, options in sections.items():
            keys = [key.name for key in fields(options) if not brief or _differ(options, key.name)]
            if keys:
                lines += [f"[{section}]", *(f"{key} = {_toml(getattr(options, key))}" for key in keys), ""]
        return "\n".join(lines)


def _differ(options: Any, *names: str) -> bool:
    """Return whether any of these options is not as it is by default."""
    return any(getattr(options, name) != getattr(type(options), name) for name in names)


def _key(name: str) -> str:
    """Return a name as a key in TOML, quoted where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _toml(value: Any) -> str:
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
