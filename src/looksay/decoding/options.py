"""The options of decoding, declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from looksay.errors import require
from looksay.option_fields import check, declared, option

Overrides = dict[str, Any]
"""Decoding options by name, in place of the model's own."""

MAX_BEAMS = 100

MAX_FORCE_WORDS = 6
"""Constrained beam search keeps ``2 ** words`` beams."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class DecodingOptions:
    """How captions are decoded; names as in transformers' ``GenerationConfig`` where it has them.

    An `OptionError` is raised if a value is of another type or out of its range, or if options exclude each other.

    Finished captions are ranked by ``log_prob / steps ** length_penalty``, where ``<end>`` is a step; those of a search
    by ``confidence_weight`` times their confidence too, where the model has one. Groups are those of diverse beam
    search (Vijayakumar et al. 2018), top-p is that of Holtzman et al. 2020, and force_words is constrained beam search
    (Anderson et al. 2017).
    """

    num_beams: int = option(3, "Number of beams; 1 is greedy search.", ge=1, le=MAX_BEAMS)
    num_captions: int = option(1, "Captions returned for each image; the best does not change.", ge=1, le=MAX_BEAMS)
    max_length: int = option(20, "Maximum length of a caption in words.", ge=1, le=1000)
    min_length: int = option(0, "Minimum length of a caption in words.", ge=0, le=1000)
    length_penalty: float = option(
        0.7, "Exponent of the length that scores are divided by; larger values favour longer captions.", ge=0, le=2
    )
    confidence_weight: float = option(
        0.5, "Weight of a caption's confidence when the captions that were found are ranked.", ge=0, le=100
    )
    no_repeat_ngram_size: int = option(0, "Block repeated n-grams of this size; 0 allows them.", ge=0)
    no_repeat_words: bool = option(False, "Block repeated words, except function words (English).")
    agreement: bool = option(
        False, "Block articles before plurals or the wrong sound: a mountains, a umbrella (English)."
    )
    no_dangling: bool = option(False, "Block captions that end in an article, preposition or conjunction (English).")
    bad_words: tuple[str, ...] = option((), "Words and phrases that captions must not contain.")
    force_words: tuple[str, ...] = option((), "Words that captions must contain, by constrained beam search.")
    prefix: str = option("", "Text that every caption starts with.")
    num_beam_groups: int = option(1, "Groups of diverse beam search; num_beams must be a multiple.", ge=1, le=100)
    diversity_penalty: float = option(0.5, "Penalty for a word that another group has at the same step.", ge=0)
    temperature: float = option(0.0, "Sampling temperature; 0 searches instead of sampling.", ge=0, le=10)
    top_k: int = option(0, "Sample from the K most probable words; 0 for all.", ge=0)
    top_p: float = option(1.0, "Sample from the most probable words that reach this probability together.", gt=0, le=1)
    seed: int = option(0, "Seed for sampling.", ge=0)
    min_confidence: float = option(0.0, "Leave out captions whose confidence is lower.", ge=0, le=1)
    tags: bool = option(True, "Re-decode so that the caption mentions confidently detected objects.")

    def __post_init__(self) -> None:
        check(self)
        require(
            self.min_length <= self.max_length,
            f"min_length {self.min_length} is out of range: use 0 to max_length ({self.max_length})",
        )
        require(
            self.num_beams % self.num_beam_groups == 0,
            f"num_beam_groups {self.num_beam_groups} does not divide num_beams {self.num_beams}",
        )
        excluded = {"temperature": self.temperature > 0, "num_beam_groups": self.num_beam_groups > 1}
        for name, is_set in excluded.items():
            both = bool(self.force_words) and is_set
            require(not both, f"force_words and {name} exclude each other: leave one of them out")


class _ModelDefault:
    def __repr__(self) -> str:
        return "<the model's own>"


def show_options(function: F) -> F:
    """Show the decoding options in the signature of a function that takes them as ``**options``.

    ``help()`` and tab completion then list them, as keyword-only parameters whose default is the model's own value.
    """
    signature = inspect.signature(function)
    shown = {name: one for name, one in signature.parameters.items() if one.kind is not one.VAR_KEYWORD}
    for one in declared(DecodingOptions):
        shown[one.name] = inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=_ModelDefault(), annotation=one.type
        )
    function.__signature__ = signature.replace(parameters=list(shown.values()))  # type: ignore[attr-defined]
    return function
