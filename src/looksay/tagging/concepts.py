"""The concepts that an encoder recognises, with calibrated probabilities.

The encoder was trained on ImageNet's classes before it was trained on captions. A table in the bundle gives these
classes the names that people use, and tells which of them a caption should mention. A caption that lacks one of them is
decoded again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.decode import decode, first_of, forced_tokens, wider_beams
from looksay.decoding.logits_processors import ProcessedStep, agreeing_article, forbid, from_options, process
from looksay.decoding.options import MAX_FORCE_WORDS, DecodingOptions
from looksay.decoding.state import Hypothesis, S, Step
from looksay.errors import BundleError
from looksay.text.vocabulary import Vocabulary
from looksay.types import Tag

MAX_MISSING = 2
"""Missing concepts for which a caption is decoded again: the time doubles with each of them."""

_MIN_TAG_PROBABILITY = 0.1
_TINY = 1e-6


@dataclass(frozen=True)
class Concept:
    """A noun that the encoder may recognise."""

    words: tuple[str, ...]  # the noun, its plural and its synonyms
    named_by: tuple[str, ...]  # all words that mention it in a caption: a duck is mentioned by "bird", a bird by "duck"
    group: str  # concepts of one group exclude each other; empty for none
    classes: tuple[int, ...]  # of the encoder; none for a concept that is only excluded by others
    bias: float = 0.0  # see ConceptTable
    homonyms: tuple[str, ...] = ()  # those of the words that mean something else too, as "orange", and are not excluded

    @property
    def name(self) -> str:
        """The noun itself."""
        return self.words[0]


@dataclass(frozen=True)
class ConceptTable:
    """Concepts and their calibration.

    The share of a concept is the sum of the softmax over its classes. Its probability is
    ``sigmoid(scale * logit(share) + bias)``, fitted to the frequency with which people mention it (Platt 1999).
    """

    concepts: tuple[Concept, ...]
    scale: float = 1.0
    threshold: float = 0.5  # the probability from which on a caption should mention a concept; chosen on the val split
    margin: float = 100.0  # how much worse a caption may be scored for the sake of a concept; chosen on the val split
    rare_words: tuple[str, ...] = ()  # of almost no training caption; decoded only where they are required

    @property
    def classes(self) -> int:
        """Number of the encoder's classes that are used: up to the last one of a concept."""
        return 1 + max((index for concept in self.concepts for index in concept.classes), default=-1)

    @cached_property
    def _detected(self) -> tuple[list[int], NDArray[np.intp], list[int]]:
        """The concepts that have classes, the classes of all of them, and where those of each concept start."""
        concepts = [column for column, concept in enumerate(self.concepts) if concept.classes]
        sizes = [len(self.concepts[column].classes) for column in concepts]
        classes = np.array([index for concept in self.concepts for index in concept.classes], dtype=np.intp)
        return concepts, classes, np.cumsum([0, *sizes])[:-1].tolist()

    def shares(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the shares of concepts (images, concepts) from the logits of classes (images, classes)."""
        softmax = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
        softmax /= softmax.sum(axis=1, keepdims=True)
        concepts, classes, starts = self._detected
        shares = np.zeros((len(scores), len(self.concepts)))
        if concepts:  # sums, not a matrix product: the threads of BLAS would wait for the cores that others use
            shares[:, concepts] = np.add.reduceat(softmax[:, classes], starts, axis=1)
        return shares

    def probabilities(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probabilities of concepts (images, concepts) from the logits of classes (images, classes)."""
        bias = np.array([concept.bias for concept in self.concepts])
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-(self.scale * logit(self.shares(scores)) + bias)))
        return probabilities

    def tags(self, probabilities: NDArray[np.float64], caption: Iterable[str]) -> tuple[Tag, ...]:
        """Return the recognised concepts of an image, by their probabilities (concepts,) and its caption's tokens."""
        words = set(caption)
        return tuple(
            Tag(concept.name, float(probabilities[index]), not words.isdisjoint(concept.named_by))
            for index in np.argsort(-probabilities)
            if probabilities[index] >= _MIN_TAG_PROBABILITY and (concept := self.concepts[index])
        )

    def missing(
        self, probabilities: NDArray[np.float64], caption: Iterable[str]
    ) -> tuple[list[tuple[str, ...]], set[str]]:
        """Return the words of each concept that a caption lacks, and the words that these concepts exclude.

        There are at most `MAX_MISSING` concepts, of different groups. A concept of the caption that excludes others is
        kept if it is recognised too, or if the encoder has no class for it, as for a giraffe.
        """
        words = set(caption)
        missing: list[tuple[str, ...]] = []
        excluded: set[str] = set()
        groups = {
            concept.group
            for concept, probability in zip(self.concepts, probabilities, strict=True)
            if not words.isdisjoint(concept.words) and (probability >= self.threshold or not concept.classes)
        }
        for index in np.argsort(-probabilities):
            concept = self.concepts[index]
            if probabilities[index] < self.threshold or len(missing) == MAX_MISSING:
                break
            if (concept.group and concept.group in groups) or not words.isdisjoint(concept.named_by):
                continue
            groups.add(concept.group)
            words.update(concept.words)  # a computer makes up for a laptop
            missing.append(concept.words)
            excluded.update(self._excluded_by(concept))
        return missing, excluded

    def _excluded_by(self, concept: Concept) -> set[str]:
        others = (other for other in self.concepts if concept.group and other.group == concept.group)
        words = {word for other in others for word in other.words if word not in other.homonyms}
        return words - set(concept.named_by)

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ConceptTable:
        """Read a file that `save` wrote; raise a `BundleError` if it is missing or is not a concept table."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            concepts = tuple(map(_concept_from_json, table["concepts"]))
            numbers = {name: float(table[name]) for name in ("scale", "threshold", "margin")}
            return cls(concepts, **numbers, rare_words=tuple(table["rare_words"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{path} is not a concept table that looksay wrote: {error!r}; export the model again"
            ) from error


def _concept_from_json(data: dict[str, Any]) -> Concept:
    words, named_by, homonyms = (tuple(data[name]) for name in ("words", "named_by", "homonyms"))
    return Concept(words, named_by, str(data["group"]), tuple(map(int, data["classes"])), float(data["bias"]), homonyms)


def logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``log(p / (1 - p))``; 0 and 1 give finite values."""
    clipped = np.clip(probabilities, _TINY, 1 - _TINY)
    odds: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return odds


def decode_with_mentions(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    vocabulary: Vocabulary,
    table: ConceptTable,
    probabilities: NDArray[np.float64],
) -> list[list[Hypothesis]]:
    """Decode captions, and decode those again that lack a concept which the encoder recognises with confidence.

    The second decoding is a constrained beam search for captions with these concepts and without those that they
    exclude (`ConceptTable.missing`, by their probabilities (images, concepts)). It is kept unless its score is lower
    than that of the first caption by more than the table's margin, as where a noun fits into no sentence. Sampling and
    ``options.tags`` turn it off. Rare words are decoded only where they are required. See `looksay.decoding.decode`
    for the rest.
    """
    forced = forced_tokens(options, vocabulary)
    required = {*forced, *vocabulary.encode(options.prefix)}
    rare_tokens = set(vocabulary.known_ids(table.rare_words)) - required
    captions = decode(step, state, options, vocabulary, [forbid(rare_tokens)])
    if not options.tags or options.temperature:
        return captions
    constraints: dict[int, tuple[list[list[int]], list[int]]] = {}  # required and forbidden tokens by image
    for image, hypotheses in enumerate(captions):
        names, excluded = table.missing(probabilities[image], vocabulary.to_tokens(hypotheses[0].tokens))
        concepts = [tokens for words in names if (tokens := vocabulary.known_ids(words))]
        concepts = concepts[: MAX_FORCE_WORDS - len(forced)]
        if concepts:
            mentioned = {token for tokens in concepts for token in tokens}
            forbidden = (set(vocabulary.known_ids(excluded)) | rare_tokens - mentioned) - required
            constraints[image] = ([*([token] for token in forced), *concepts], sorted(forbidden))
    if constraints:
        processed = process(step, [*from_options(options, vocabulary), agreeing_article(vocabulary)], options)
        for image, (best, *others) in _constrained(processed, state, options, constraints):
            free = captions[image]
            if best.score >= free[0].score - table.margin:
                rest = sorted((*others, *free), key=lambda other: other.score > best.score)
                captions[image] = first_of(best, rest, options.num_captions)
    return captions


def _constrained(
    step: ProcessedStep[S],
    state: S,
    options: DecodingOptions,
    constraints: Mapping[int, tuple[list[list[int]], list[int]]],
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Yield images with their captions that satisfy constraints, the best first; leave out images without any.

    Images that require the same number of tokens are decoded together.
    """
    from looksay.decoding.constrained_beam_search import Constraints, constrained_beam_search

    # Two thirds of the beams give nearly the same best caption in less time.
    fewer_beams = replace(options, num_beams=math.ceil(2 / 3 * options.num_beams), num_captions=1, num_beam_groups=1)
    more_beams = replace(options, num_beams=wider_beams(options), num_beam_groups=1)
    for number in {len(required) for required, _ in constraints.values()}:
        images = [image for image, (required, _) in constraints.items() if len(required) == number]
        part, own = state.take(np.array(images)), [Constraints(*constraints[image]) for image in images]
        captions = constrained_beam_search(step, part, fewer_beams, own)
        if options.num_captions > 1:
            more = constrained_beam_search(step, part, more_beams, own)
            captions = [[*best, *others] if best else [] for best, others in zip(captions, more, strict=True)]
        yield from (pair for pair in zip(images, captions, strict=True) if pair[1])
