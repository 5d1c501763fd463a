"""A whole recipe: its sections, warnings about options without effect, and its TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from looksay.decoding.options import DecodingOptions
from looksay.training import sections


@dataclass(frozen=True, config=sections.STRICT)
class Recipe:
    """Everything that a run depends on, one attribute a section.

    `replace` makes a changed copy, by key or by section::

        recipe.replace(training={"epochs": 3}, encoder=EncoderOptions(name="resnet50"))
    """

    model: sections.ModelOptions = field(default_factory=sections.ModelOptions)
    data: sections.DataOptions = field(default_factory=sections.DataOptions)
    mixture: dict[str, sections.MixedOptions] = field(default_factory=dict)
    vocabulary: sections.VocabularyOptions = field(default_factory=sections.VocabularyOptions)
    image: sections.ImageOptions = field(default_factory=sections.ImageOptions)
    augmentation: sections.AugmentationOptions = field(default_factory=sections.AugmentationOptions)
    encoder: sections.EncoderOptions = field(default_factory=sections.EncoderOptions)
    embedding: sections.EmbeddingOptions = field(default_factory=sections.EmbeddingOptions)
    detector: sections.DetectorOptions = field(default_factory=sections.DetectorOptions)
    decoder: sections.DecoderOptions = field(default_factory=sections.DecoderOptions)
    training: sections.TrainingOptions = field(default_factory=sections.TrainingOptions)
    distillation: sections.DistillationOptions = field(default_factory=sections.DistillationOptions)
    self_critical: sections.SelfCriticalOptions = field(default_factory=sections.SelfCriticalOptions)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with other sections, or with other keys in them where a section is given as a mapping.

        ``mixture`` is replaced as a whole, by `MixedOptions` by name. An unknown key or a value out of its range raises
        a ValueError.
        """
        for name, keys in changes.items():
            if isinstance(keys, Mapping) and name != "mixture":
                changes[name] = replace(getattr(self, name), **keys)
        return replace(self, **changes)

    def idle(self) -> list[str]:
        """Return a warning for each option that is set but has no effect because of another option."""
        encoder, augmentation, decoder = self.encoder, self.augmentation, self.decoder
        is_varied, has_views = _differs(augmentation, "crop", "color_jitter", "jpeg"), augmentation.views > 1
        is_attentive = decoder.name in sections.ATTENTIVE and encoder.features == "grid"
        first, last = encoder.unfrozen_stages(0), encoder.unfrozen_stages(max(0, self.training.epochs - 1))
        cases = {
            "encoder.frozen_epochs, stages, stage_epochs and layer_decay need encoder.trainable=true": (
                not encoder.trainable and _differs(encoder, "frozen_epochs", "stages", "stage_epochs", "layer_decay")
            ),
            "encoder.trainable needs an encoder.frozen_epochs below training.epochs": encoder.trainable and not last,
            "augmentation.crop, color_jitter and jpeg of a frozen encoder need augmentation.views of 2 or more": (
                is_varied and not has_views and not last
            ),
            "augmentation.views needs crop, color_jitter or jpeg; all views are the same": has_views and not is_varied,
            "augmentation.views needs a frozen encoder; this one encodes each image in every epoch": (
                has_views and bool(first)
            ),
            "decoder.heads needs decoder.name=top-down": _differs(decoder, "heads") and decoder.name != "top-down",
            "training.doubly_stochastic needs a decoder with attention and encoder.features=grid": (
                _differs(self.training, "doubly_stochastic") and not is_attentive
            ),
            "vocabulary.concepts needs vocabulary.extend=true": (
                self.vocabulary.concepts and not self.vocabulary.extend
            ),
            "data.weight needs a [mixture.NAME]": _differs(self.data, "weight") and not self.mixture,
            "vocabulary.extend needs training.start": self.vocabulary.extend and not self.training.start,
            f"attention of decoder.name={decoder.name} needs encoder.features=grid": (
                decoder.name in sections.ATTENTIVE and not is_attentive
            ),
        }
        return [f"no effect: {case}" for case, holds in cases.items() if holds]

    def portable(self) -> Recipe:
        """Return a copy that names files and folders without their paths on this machine."""

        def names(paths: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(Path(path).name for path in paths)

        return self.replace(
            data={"folder": Path(self.data.folder).name, "cache": ""},
            mixture={name: replace(own, folder=Path(own.folder).name) for name, own in self.mixture.items()},
            encoder={"weights": Path(self.encoder.weights).name},
            embedding={"vectors": Path(self.embedding.vectors).name},
            training={"run": Path(self.training.run).name, "start": names(self.training.start)},
            distillation={"teachers": names(self.distillation.teachers)},
        )

    def to_toml(self, *, brief: bool = False) -> str:
        """Return all keys as TOML, so that later defaults do not change a saved recipe.

        With `brief`, keys with their default value are omitted.
        """
        tables = {section.name: getattr(self, section.name) for section in fields(self)}
        mixture = tables.pop("mixture")
        tables |= {f"mixture.{_key(name)}": options for name, options in mixture.items()}
        lines: list[str] = []
        for section, options in tables.items():
            keys = [key.name for key in fields(options) if not brief or _differs(options, key.name)]
            if keys:
                lines += [f"[{section}]", *(f"{key} = {toml_value(getattr(options, key))}" for key in keys), ""]
        return "\n".join(lines)


def toml_value(value: Any) -> str:
    """Return a value as written in TOML."""
    if isinstance(value, float):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON allows it in a text, TOML does not


def _differs(options: Any, *names: str) -> bool:
    """Return whether any of these options differs from its default."""
    return any(getattr(options, name) != getattr(type(options), name) for name in names)


def _key(name: str) -> str:
    """Return a name as a key in TOML, quoted where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)
