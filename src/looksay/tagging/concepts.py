"""The concepts that an encoder recognises, with calibrated probabilities.

The encoder was trained on ImageNet's classes before it was trained on captions, and its word detector knows the words
of captions. A table in the bundle gives both the names that people use, and tells which of them a caption should
mention. A caption that lacks one of them is decoded again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from looksay.decoding.decode import decode, first_of, forced_tokens, rescored, wider_beams
from looksay.decoding.logits_processors import ProcessedStep, agreeing_article, forbid, from_options, process
from looksay.decoding.options import MAX_FORCE_WORDS, DecodingOptions
from looksay.decoding.state import Hypothesis, Rescore, S, Step, keep_score
from looksay.errors import BundleError
from looksay.text.vocabulary import Vocabulary
from looksay.types import Tag

if TYPE_CHECKING:
    from looksay.decoding.constrained_beam_search import Constraints

MAX_MISSING = 2
"""Missing concepts for which a caption is decoded again: the time doubles with each of them."""

_MIN_TAG_PROBABILITY = 0.1
_TINY = 1e-6
_NEVER = -15.0  # log-odds

Scores = NDArray[np.floating]


@dataclass(frozen=True)
class Calibration:
    """How evidence for a concept becomes the probability that people mention it (Platt 1999).

    ``sigmoid(share * logit(share of its classes) + word * logit(probability of its words) + bias)``, fitted to how
    often people do. The share is the sum of the softmax over the classes; the probability is that a person's caption
    has one of the words. What a concept has none of does not count.
    """

    share: float = 1.0
    word: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class Concept:
    """A noun that the encoder may recognise."""

    words: tuple[str, ...]  # the noun, its plural and its synonyms
    named_by: tuple[str, ...]  # all words that mention it in a caption: a duck is mentioned by "bird", a bird by "duck"
    group: str  # concepts of one group exclude each other; empty for none
    classes: tuple[int, ...]  # of the encoder; a caption is decoded again only for concepts that have some
    detected: tuple[int, ...] = ()  # the places of its words among those of the word detector
    by_classes: Calibration = Calibration()  # of the classes alone
    by_all: Calibration = Calibration()  # of the classes and the word detector
    homonyms: tuple[str, ...] = ()  # those of the words that mean something else too, as "orange", and are not excluded

    @property
    def name(self) -> str:
        """The noun itself."""
        return self.words[0]


@dataclass(frozen=True)
class ConceptTable:
    """Concepts, and when a caption should mention them."""

    concepts: tuple[Concept, ...]
    threshold: float = 0.5  # the probability from which on a caption should mention a concept; chosen on the val split
    margin: float = 100.0  # how much worse a caption may be scored for the sake of a concept; chosen on the val split
    rare_words: tuple[str, ...] = ()  # of almost no training caption; decoded only where they are required

    @property
    def classes(self) -> int:
        """Number of the encoder's classes that are used: up to the last one of a concept."""
        return 1 + max((index for concept in self.concepts for index in concept.classes), default=-1)

    @property
    def words(self) -> int:
        """Number of the detector's words that are used: up to the last one of a concept."""
        return 1 + max((index for concept in self.concepts for index in concept.detected), default=-1)

    @cached_property
    def _parts(self) -> tuple[_Parts, _Parts]:
        """Where the classes and the words of each concept are."""
        concepts = self.concepts
        return _Parts.of([one.classes for one in concepts]), _Parts.of([one.detected for one in concepts])

    def evidence(self, scores: Scores | None, words: Scores | None = None) -> NDArray[np.float64]:
        """Return the log-odds of shares and of word probabilities, shape (images, concepts, 2).

        `scores` (images, classes) are the logits of classes; `words` (images, words) are the detector's probabilities.
        The log-odds are 0 where a concept has no classes or no words, or where these are None; but with neither it is
        not recognised.
        """
        rows = len(next(given for given in (scores, words) if given is not None))
        classes, detected = self._parts
        odds = np.zeros((rows, len(self.concepts), 2))
        has_evidence = [bool(concept.classes or (concept.detected and words is not None)) for concept in self.concepts]
        odds[:, np.logical_not(has_evidence), 0] = _NEVER
        if scores is not None and classes.concepts:
            softmax = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
            softmax /= softmax.sum(axis=1, keepdims=True)
            odds[:, classes.concepts, 0] = logit(classes.sums(softmax))
        if words is not None and detected.concepts:  # one of the words, as if they were independent
            absent = np.log1p(-np.clip(words.astype(np.float64), 0, 1 - _TINY))
            odds[:, detected.concepts, 1] = logit(-np.expm1(detected.sums(absent)))
        return odds

    @cached_property
    def _by_classes(self) -> NDArray[np.float64]:
        return _weights(concept.by_classes for concept in self.concepts)

    @cached_property
    def _by_all(self) -> NDArray[np.float64]:
        return _weights(concept.by_all for concept in self.concepts)

    def probabilities(self, scores: Scores | None, words: Scores | None = None) -> NDArray[np.float64]:
        """Return the probabilities of concepts (images, concepts) by all that is known; see `evidence`."""
        return _sigmoid(self.evidence(scores, words), self._by_all)

    def class_probabilities(self, scores: Scores) -> NDArray[np.float64]:
        """Return the probabilities of concepts (images, concepts) by their classes alone; see `evidence`.

        The decoder has read the word detector itself. What it missed, only the classes can tell.
        """
        return _sigmoid(self.evidence(scores), self._by_classes)

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
            numbers = {name: float(table[name]) for name in ("threshold", "margin")}
            return cls(concepts, **numbers, rare_words=tuple(table["rare_words"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"{path} is not a concept table that looksay wrote: {error!r}; export the model again"
            ) from error


def _concept_from_json(data: dict[str, Any]) -> Concept:
    words, named_by, homonyms = (tuple(map(str, data[name])) for name in ("words", "named_by", "homonyms"))
    classes, detected = (tuple(map(int, data[name])) for name in ("classes", "detected"))
    by_classes, by_all = (
        Calibration(*(float(data[name][key]) for key in ("share", "word", "bias"))) for name in ("by_classes", "by_all")
    )
    return Concept(words, named_by, str(data["group"]), classes, detected, by_classes, by_all, homonyms)


class _Parts(NamedTuple):
    """The concepts that have classes or words, the indices of all of these, and where those of each concept start."""

    concepts: list[int]
    indices: NDArray[np.intp]
    starts: list[int]

    @classmethod
    def of(cls, indices: Sequence[tuple[int, ...]]) -> Self:
        """Return the parts of concepts, by the indices of each."""
        sizes = [len(own) for own in indices if own]
        return cls(
            [place for place, own in enumerate(indices) if own],
            np.array([index for own in indices for index in own], dtype=np.intp),
            np.cumsum([0, *sizes])[:-1].tolist(),
        )

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums (images, concepts) of the values of each concept, from (images, indices)."""
        # Not a matrix product: the threads of BLAS would wait for the cores that others use.
        sums: NDArray[np.float64] = np.add.reduceat(values[:, self.indices], self.starts, axis=1)
        return sums


def _weights(calibrations: Iterable[Calibration]) -> NDArray[np.float64]:
    return np.array([(one.share, one.word, one.bias) for one in calibrations])


def _sigmoid(odds: NDArray[np.float64], calibration: NDArray[np.float64]) -> NDArray[np.float64]:
    logits = (odds * calibration[:, :2]).sum(axis=2) + calibration[:, 2]
    probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return probabilities


def logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``log(p / (1 - p))``; 0 and 1 give finite values."""
    clipped = np.clip(probabilities, _TINY, 1 - _TINY)
    odds: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return odds


def decode_freely(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    vocabulary: Vocabulary,
    table: ConceptTable,
    rescore: Rescore = keep_score,
) -> list[list[Hypothesis]]:
    """Decode captions without rare words that are not required; see `looksay.decoding.decode`."""
    rare_tokens = set(vocabulary.known_ids(table.rare_words)) - _required_tokens(options, vocabulary)
    without_rare = partial(forbid, np.array(sorted(rare_tokens), dtype=np.int64))
    return decode(step, state, options, vocabulary, [without_rare], rescore)


def _required_tokens(options: DecodingOptions, vocabulary: Vocabulary) -> set[int]:
    return {*forced_tokens(options, vocabulary), *vocabulary.encode(options.prefix)}


def add_mentions(
    step: Step[S],
    state: S,
    options: DecodingOptions,
    vocabulary: Vocabulary,
    table: ConceptTable,
    probabilities: NDArray[np.float64],
    captions: Sequence[list[Hypothesis]],
    rescore: Rescore = keep_score,
) -> list[list[Hypothesis]]:
    """Return the captions of a batch, those decoded again that lack a concept which the encoder recognises.

    The second decoding is a constrained beam search for captions with these concepts and without those that they
    exclude (`ConceptTable.missing`, by their `class_probabilities` (images, concepts)). It is kept unless its score is
    lower than that of the first caption by more than the table's margin, as where a noun fits into no sentence. Both
    are scores after `rescore`. It is turned off by sampling and by ``options.tags``. Rare words are decoded only where
    they are required.
    """
    captions = list(captions)
    if not options.tags or options.temperature:
        return captions
    forced, required = forced_tokens(options, vocabulary), _required_tokens(options, vocabulary)
    rare_tokens = set(vocabulary.known_ids(table.rare_words)) - required
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
        for image, (best, *others) in _constrained(processed, state, options, constraints, rescore):
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
    rescore: Rescore,
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Yield images with their captions that satisfy constraints, the best first; leave out images without any.

    Images that require the same number of tokens are decoded together.
    """
    from looksay.decoding.constrained_beam_search import Constraints

    for number in {len(required) for required, _ in constraints.values()}:
        images = [image for image, (required, _) in constraints.items() if len(required) == number]
        part, own = state.take(np.array(images)), [Constraints(*constraints[image]) for image in images]
        search = partial(_search, step, part, options, own, partial(_rescore_part, rescore, images))
        # Two thirds of the beams give nearly the same best caption in less time.
        best = search(math.ceil(2 / 3 * options.num_beams))
        more = search(wider_beams(options)) if options.num_captions > 1 else [[]] * len(images)
        for image, candidates, others in zip(images, best, more, strict=True):
            if candidates:
                yield image, [candidates[0], *others]


def _search(
    step: ProcessedStep[S],
    state: S,
    options: DecodingOptions,
    constraints: Sequence[Constraints],
    rescore: Rescore,
    num_beams: int,
) -> list[list[Hypothesis]]:
    """Return the captions of a constrained beam search, at most `num_beams` of each image, the best first."""
    from looksay.decoding.constrained_beam_search import constrained_beam_search

    options = replace(options, num_beams=num_beams, num_captions=num_beams, num_beam_groups=1)
    return rescored(constrained_beam_search(step, state, options, constraints), rescore, num_beams)


def _rescore_part(rescore: Rescore, images: Sequence[int], row: int, hypothesis: Hypothesis) -> Hypothesis:
    """Rescore a caption of a row of some images of a batch."""
    return rescore(images[row], hypothesis)
