"""Options of decoding, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from looksay.errors import require


@dataclass(frozen=True)
class DecodingOptions:
    """How captions are searched for.

    Attributes
    ----------
    num_beams : int
        Captions kept in parallel for each image, 1 to 100; 1 is greedy search.
    num_captions : int
        Captions returned for each image, at most ``num_beams``.
    max_length : int
        Longest caption.
    length_penalty : float
        Finished captions are ranked by ``log_prob / steps ** length_penalty`` (``<end>`` is a step):
        0 favours short captions, 1 ranks by the mean log-probability of a word.
    min_length : int
        Shortest caption.
    no_repeat_ngram_size : int
        No run of so many words is said twice; 0 for no such rule.
    no_repeat_words : bool
        No word is said twice but small ones, as articles, prepositions and "another"; for English.
    no_dangling : bool
        No caption ends in an article, a preposition or a conjunction.
    bad_words : tuple of str
        Words that are never said.
    prefix : str
        How every caption begins.
    num_beam_groups : int
        Groups of the beam that keep away from each other's words (diverse beam search, Vijayakumar et al. 2018);
        ``num_beams`` is a multiple of it.
    diversity_penalty : float
        How much a word costs, in log-probability, that an earlier group says at the same step.
    temperature : float
        Above 0, captions are drawn at random and not searched for: `num_captions` of them, whatever the beam. 1 draws from
        the model's own probabilities, less is more cautious.
    top_k : int
        Draw from the so many likeliest words; 0 for all.
    top_p : float
        Draw from the likeliest words that have this much probability together (Holtzman et al. 2020).
    seed : int
        Of drawing.
    tags : bool
        Whether a noun that the CNN is sure of, and that the caption lacks, is asked for: `looksay.decoding.constrained_beam_search`. Captions
        that are drawn at random never are.

    Raises
    ------
    OptionError
        If a value is out of its range.
    """

    num_beams: int = 3
    num_captions: int = 1
    max_length: int = 20
    length_penalty: float = 0.7
    min_length: int = 0
    no_repeat_ngram_size: int = 0
    no_repeat_words: bool = False
    no_dangling: bool = False
    bad_words: tuple[str, ...] = ()
    prefix: str = ""
    num_beam_groups: int = 1
    diversity_penalty: float = 0.5
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    tags: bool = True

    def __post_init__(self) -> None:
        for name in (
            "num_beams",
            "num_captions",
            "max_length",
            "min_length",
            "no_repeat_ngram_size",
            "num_beam_groups",
            "top_k",
            "seed",
        ):
            require(type(getattr(self, name)) is int, f"{name} is {getattr(self, name)!r}; it must be a whole number")
        require(1 <= self.num_beams <= 100, f"num_beams is {self.num_beams}; it must be from 1 to 100")
        most, name = (100, "100") if self.temperature else (self.num_beams, f"num_beams ({self.num_beams})")
        require(1 <= self.num_captions <= most, f"num_captions is {self.num_captions}; it must be from 1 to {name}")
        require(self.max_length >= 1, f"max_length is {self.max_length}; it must be 1 or more")
        require(0 <= self.length_penalty <= 2, f"length_penalty is {self.length_penalty}; it must be from 0 to 2")
        least = f"min_length is {self.min_length}; it must be from 0 to max_length ({self.max_length})"
        require(0 <= self.min_length <= self.max_length, least)
        for name in ("no_repeat_ngram_size", "top_k", "seed", "diversity_penalty"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must be 0 or more")
        fits = self.num_beam_groups >= 1 and self.num_beams % self.num_beam_groups == 0
        require(fits, f"groups is {self.num_beam_groups}; the beam ({self.num_beams}) must be a multiple of it")
        require(0 <= self.temperature <= 10, f"temperature is {self.temperature}; it must be from 0 to 10")
        require(0 < self.top_p <= 1, f"top_p is {self.top_p}; it must be above 0 and at most 1")
        texts = isinstance(self.bad_words, tuple) and all(isinstance(word, str) for word in self.bad_words)
        require(texts and isinstance(self.prefix, str), "bad_words is a tuple of words, and prefix a text")


class DecodingOverrides(TypedDict, total=False):
    """`DecodingOptions` as keyword arguments, each optional."""

    num_beams: int
    num_captions: int
    max_length: int
    length_penalty: float
    min_length: int
    no_repeat_ngram_size: int
    no_repeat_words: bool
    no_dangling: bool
    bad_words: tuple[str, ...]
    prefix: str
    num_beam_groups: int
    diversity_penalty: float
    temperature: float
    top_k: int
    top_p: float
    seed: int
    tags: bool
