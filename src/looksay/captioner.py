"""The captioner: read images, encode, decode, describe."""

from __future__ import annotations

import functools
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from looksay import images
from looksay.decoding.decode import decode, forced_tokens
from looksay.decoding.logits_processors import from_options
from looksay.decoding.options import MAX_BEAMS, DecodingOptions, Overrides, show_options
from looksay.decoding.state import DecoderState, Hypothesis, Rescore, Tokens, keep_score
from looksay.errors import BundleError, ImageError, OptionError, require
from looksay.images import ImageSource
from looksay.runtime.bundle import CONFIDENCE, DEFAULT, SHIPPED, TAGS, Bundle
from looksay.runtime.onnx_model import SCORES, WORDS, Arrays, OnnxModel, available_cores
from looksay.tagging.concepts import add_mentions, decode_freely
from looksay.tagging.confidence import trusted
from looksay.types import Caption, Device

_MAX_WORKERS = 8  # each needs memory for a batch, and more would wait for Python's lock

CLASS_SCORES, DETECTED_WORDS = f"0.{SCORES}", f"0.{WORDS}"
"""Outputs of the first encoder in the memory of a state: (images, classes) and (images, words)."""

Prepared = tuple[NDArray[np.float32], ...]
"""The input of each model's encoder: (3, size, size)."""


class Captioner:
    """Generates captions of images; `looksay.load` opens one by name and describes the parameters.

    Of an ensemble, the mean of all probabilities is decoded. The decoding options, tags, confidence and attention are
    those of the first model.
    """

    def __init__(self, bundle: Bundle, *others: Bundle, threads: int | None = None, device: Device = "cpu") -> None:
        is_valid = threads is None or (isinstance(threads, int) and threads >= 1)
        require(is_valid, f"threads {threads!r} is out of range: use 1 or more, or None for all cores")
        self.bundle = bundle
        for other in others:
            if other.vocabulary != bundle.vocabulary:
                raise BundleError(
                    f"{other.folder.name} has another vocabulary than {bundle.folder.name}; train both on the same "
                    "captions, with the same vocabulary.min_count"
                )
        self._threads, self._device = threads or available_cores(), device
        self._models = [OnnxModel(one, threads, f"{index}.", device) for index, one in enumerate((bundle, *others))]
        first, tags = self._models[0], bundle.tags
        if tags and (first.classes < tags.classes or first.words < tags.words):
            raise BundleError(f"{bundle.folder}: {TAGS} has classes that the encoder does not return; export it again")
        if bundle.confidence and first.words != len(bundle.confidence.words):
            raise BundleError(f"{bundle.folder}: {CONFIDENCE} is of another detector; export it again")

    def __repr__(self) -> str:
        spec, size = self.bundle.spec, len(self.bundle.vocabulary)
        return f"<Captioner {self.name}: {spec.encoder}, {spec.decoder}, {size} tokens, on {self._device}>"

    @property
    def name(self) -> str:
        """The names of all models."""
        return " + ".join(bundle.spec.name for bundle in self.bundles)

    @property
    def bundles(self) -> list[Bundle]:
        """The bundles of all models."""
        return [model.bundle for model in self._models]

    @overload
    def __call__(self, image: ImageSource, *, num_captions: int, **options: Any) -> list[Caption]: ...
    @overload
    def __call__(self, image: ImageSource, *, attention: bool = False, **options: Any) -> Caption: ...
    @overload
    def __call__(
        self, image: Iterable[ImageSource], *, num_captions: int, **options: Any
    ) -> list[list[Caption] | ImageError]: ...
    @overload
    def __call__(
        self, image: Iterable[ImageSource], *, attention: bool = False, **options: Any
    ) -> list[Caption | ImageError]: ...
    @show_options
    def __call__(
        self, image: ImageSource | Iterable[ImageSource], *, attention: bool = False, **options: Any
    ) -> Caption | list[Any]:
        """Caption an image, or several.

        Parameters
        ----------
        image : path, bytes, binary file, PIL image, or ndarray; or an iterable of these
            A NumPy array is one image.
        attention : bool
            Add attention maps to the captions.
        **options
            Any of `DecodingOptions`, in place of the model's own: ``num_beams=5``.

        Returns
        -------
        Caption, or list
            The best caption; with ``num_captions``, a list of captions, the best first. For an iterable of images, a
            list of these, with an `ImageError` in place of each image that cannot be read.

        Raises
        ------
        ImageError, OptionError
            If a single image cannot be read; if an option is unknown or out of its range.
        """
        is_batch = images.is_batch(image)
        sources: Any = image if is_batch else [image]
        results: list[Any] = list(self.outcomes(sources, attention=attention, **options))
        if "num_captions" not in options:
            results = [outcome if isinstance(outcome, ImageError) else outcome[0] for outcome in results]
        return results if is_batch else _raise_if_error(results[0])

    @show_options
    def captions(
        self, sources: Iterable[ImageSource], *, batch: int = 8, **options: Any
    ) -> Iterator[Caption | ImageError]:
        """Return an iterator over the best caption of each image, in order and in constant memory.

        An image that cannot be read gives an `ImageError` and stops nothing. See `outcomes` for the parameters.
        """
        outcomes = self.outcomes(sources, batch=batch, **options)
        return (outcome if isinstance(outcome, ImageError) else outcome[0] for outcome in outcomes)

    @show_options
    def outcomes(
        self, sources: Iterable[ImageSource], *, batch: int = 8, attention: bool = False, **options: Any
    ) -> Iterator[list[Caption] | ImageError]:
        """Return an iterator over the `num_captions` captions of each image, or its error if it cannot be read.

        `sources` may be endless: a few batches are read ahead. `batch` images are captioned together; each core has
        its own batch. Raises an `OptionError` if `sources` is a single image. See `__call__` for the rest.
        """
        chosen = self.options(options)
        if not images.is_batch(sources):
            raise OptionError(
                f"sources must be an iterable of images, not {images.describe(sources)}: put a single image into a list"
            )
        require(isinstance(batch, int) and batch >= 1, f"batch {batch!r} is out of range: use 1 or more")
        return self._stream(iter(sources), batch, chosen, attention)

    def _stream(
        self, sources: Iterator[ImageSource], batch: int, options: DecodingOptions, attention: bool
    ) -> Iterator[list[Caption] | ImageError]:
        groups = iter(lambda: list(islice(sources, batch)), [])
        first, second = next(groups, []), next(groups, [])
        if not second:  # nothing to share among workers
            yield from self._caption_batch(first, options, attention)
            return
        # Whole batches in parallel, each on a core of its own, leave no core waiting for another.
        workers = min(self._threads, _MAX_WORKERS) if self._device == "cpu" else 1
        with ThreadPoolExecutor(workers) as pool:
            pending: deque[Future[list[list[Caption] | ImageError]]] = deque()
            for group in chain((first, second), groups):
                pending.append(pool.submit(self._worker._caption_batch, group, options, attention))
                while len(pending) > workers or (pending and pending[0].done()):
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()

    @functools.cached_property
    def _worker(self) -> Captioner:
        """The same captioner with the threads of one worker."""
        threads = max(1, self._threads // _MAX_WORKERS)
        if threads == self._threads or self._device != "cpu":
            return self
        return Captioner(*self.bundles, threads=threads)

    def _caption_batch(
        self, sources: Sequence[ImageSource], options: DecodingOptions, attention: bool
    ) -> list[list[Caption] | ImageError]:
        prepared: list[Prepared | ImageError] = []
        for source in sources:
            try:
                prepared.append(self.prepare(source))
            except ImageError as error:
                prepared.append(error)
        readable = [image for image in prepared if not isinstance(image, ImageError)]
        captions = iter(self.generate(readable, options, attention=attention) if readable else [])
        return [
            image
            if isinstance(image, ImageError)
            else trusted(next(captions), options.min_confidence, images.describe(source))
            for source, image in zip(sources, prepared, strict=True)
        ]

    def options(self, overrides: Overrides) -> DecodingOptions:
        """Return the model's own decoding options with overrides.

        Unless ``num_beams`` is among them, the number of beams grows to a multiple of ``num_beam_groups``. Raises an
        `OptionError` if an option is unknown or out of its range, or if a prefix or forced word is not in the
        vocabulary.
        """
        own = self.bundle.spec.decoding
        names = [field.name for field in fields(DecodingOptions)]
        if unknown := ", ".join(sorted(overrides.keys() - set(names))):
            raise OptionError(f"there is no decoding option {unknown}: use {', '.join(names)}")
        values = dict(overrides)
        groups = values.get("num_beam_groups", own.num_beam_groups)
        if "num_beams" not in values and isinstance(groups, int) and groups > 0:  # else replace raises an error
            values["num_beams"] = min(MAX_BEAMS, math.ceil(own.num_beams / groups) * groups)
        chosen = replace(own, **values)
        if chosen.min_confidence and self.bundle.confidence is None:
            raise OptionError(
                f"min_confidence {chosen.min_confidence} cannot be used: {self.bundle.spec.name} has no {CONFIDENCE}; "
                "export a model with a word detector"
            )
        from_options(chosen, self.bundle.vocabulary)
        forced_tokens(chosen, self.bundle.vocabulary)
        return chosen

    def prepare(self, source: ImageSource) -> Prepared:
        """Read an image and return the input of each model's encoder; raise an `ImageError` if it cannot be read."""
        specs = [bundle.spec.image for bundle in self.bundles]
        image = images.read(source, least=max(spec.size for spec in specs))
        inputs = {spec: images.normalise(images.resize(image, spec), spec) for spec in set(specs)}
        return tuple(inputs[spec] for spec in specs)

    def encode(self, prepared: Sequence[Prepared]) -> DecoderState:
        """Encode prepared images; return the decoder's state before the first token."""
        memory: Arrays = {}
        hidden: Arrays = {}
        for model, pixels in zip(self._models, zip(*prepared, strict=True), strict=True):
            model_memory, model_hidden = model.encode(np.stack(pixels))
            memory |= model_memory
            hidden |= model_hidden
        return DecoderState.begin(memory, hidden)

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], DecoderState]:
        """Return the log-probabilities of the next token, (rows, vocab), and the new state; see `decoding.state`."""
        outputs, _, hidden = zip(*(model.step(tokens, state) for model in self._models), strict=True)
        log_probs = outputs[0] if len(outputs) == 1 else np.logaddexp.reduce(outputs) - math.log(len(outputs))
        arrays = {name: rows for one in hidden for name, rows in one.items()}
        return log_probs, DecoderState(state.memory, state.memory_of, arrays)

    def decode(self, state: DecoderState, options: DecodingOptions) -> list[list[Hypothesis]]:
        """Decode the captions of encoded images; with the option ``tags``, so that they mention recognised objects."""
        vocabulary, table, rescore = self.bundle.vocabulary, self.bundle.tags, self.rescore(state, options)
        if table is None:
            return decode(self.step, state, options, vocabulary, rescore=rescore)
        captions = decode_freely(self.step, state, options, vocabulary, table, rescore)
        probabilities = table.class_probabilities(state.memory[CLASS_SCORES])
        return add_mentions(self.step, state, options, vocabulary, table, probabilities, captions, rescore)

    def rescore(self, state: DecoderState, options: DecodingOptions) -> Rescore:
        """Return what adds the confidence of captions of encoded images to their scores, if the model has one."""
        trust, vocabulary, weight = self.bundle.confidence, self.bundle.vocabulary, options.confidence_weight
        if trust is None or not weight:
            return keep_score
        detected = state.memory[DETECTED_WORDS]

        def with_confidence(image: int, one: Hypothesis) -> Hypothesis:
            confidence = trust(vocabulary.to_tokens(one.tokens), one.log_prob, detected[image])
            return replace(one, score=one.score + weight * confidence)

        return with_confidence

    def generate(
        self,
        prepared: Sequence[Prepared],
        options: DecodingOptions,
        *,
        attention: bool = False,
    ) -> list[list[Caption]]:
        """Caption a batch of prepared images: for each, its `num_captions` captions, the best first."""
        state = self.encode(prepared)
        return self.describe(state, self.decode(state, options), attention=attention)

    def describe(
        self, state: DecoderState, hypotheses: Sequence[Sequence[Hypothesis]], *, attention: bool = False
    ) -> list[list[Caption]]:
        """Return the captions of encoded images with text, tags, confidence and perhaps attention maps.

        `state` is that before the first token; `hypotheses` are those of each image.
        """
        maps = iter(self._attention_maps(state, hypotheses)) if attention else repeat(None)
        table, vocabulary, trust = self.bundle.tags, self.bundle.vocabulary, self.bundle.confidence
        memory = state.memory
        probabilities = table.probabilities(memory[CLASS_SCORES], memory.get(DETECTED_WORDS)) if table else None

        def caption(hypothesis: Hypothesis, image: int) -> Caption:
            tokens = vocabulary.to_tokens(hypothesis.tokens)
            tags = table.tags(probabilities[image], tokens) if table and probabilities is not None else ()
            confidence = trust(tokens, hypothesis.log_prob, memory[DETECTED_WORDS][image]) if trust else None
            return Caption(
                vocabulary.decode(hypothesis.tokens), tokens, hypothesis.log_prob, next(maps), tags,
                confidence=confidence,
            )  # fmt: skip

        return [[caption(one, image) for one in captions] for image, captions in enumerate(hypotheses)]

    def _attention_maps(
        self, state: DecoderState, hypotheses: Sequence[Sequence[Hypothesis]]
    ) -> Iterator[NDArray[np.float32]]:
        """Decode finished captions once more, all together, and return the first model's attention at each token."""
        captions = [hypothesis.tokens for candidates in hypotheses for hypothesis in candidates]
        state = state.take(np.repeat(np.arange(len(hypotheses)), [len(candidates) for candidates in hypotheses]))
        vocabulary, grid = self.bundle.vocabulary, self.bundle.spec.grid
        steps = max(map(len, captions))
        inputs = np.full((len(captions), steps + 1), vocabulary.end)
        inputs[:, 0] = vocabulary.start
        for row, tokens in enumerate(captions):
            inputs[row, 1 : 1 + len(tokens)] = tokens
        maps = np.zeros((len(captions), steps, *grid), dtype=np.float32)
        for step in range(steps):
            _, attention, hidden = self._models[0].step(inputs[:, step], state)
            maps[:, step] = attention.reshape(-1, *grid)
            state = replace(state, hidden=hidden)
        return (caption_maps[: len(tokens)] for caption_maps, tokens in zip(maps, captions, strict=True))


def _raise_if_error(outcome: Any) -> Any:
    if isinstance(outcome, ImageError):
        raise outcome
    return outcome


def load(
    model: str | Path = DEFAULT, *others: str | Path, threads: int | None = None, device: Device = "cpu"
) -> Captioner:
    """Load a captioner.

    Parameters
    ----------
    model : str or Path
        The name of a model that ships with looksay, a model folder, or a hub id (``owner/name``).
    *others : str or Path
        More models of an ensemble, with the same vocabulary; see `Captioner`.
    threads : int, optional
        CPU threads; all cores by default.
    device : {"cpu", "cuda", "coreml", "directml", "openvino"}

    Raises
    ------
    BundleError
        If there is no such model, if it is damaged, if ONNX Runtime cannot load it, or if vocabularies differ.
    OptionError
        If ONNX Runtime cannot use the device.
    """
    return Captioner(*map(_open, (model, *others)), threads=threads, device=device)


def _open(model: str | Path) -> Bundle:
    if not isinstance(model, str | os.PathLike):
        raise BundleError(f"{model!r} names no model: use a name, a folder or a hub id; load(a, b) loads several")
    if model == DEFAULT:
        return Bundle.open(SHIPPED / DEFAULT)
    from looksay.runtime.hub import locate

    return Bundle.open(locate(model))


_default = functools.cache(load)


@show_options
def caption(image: ImageSource, **options: Any) -> str:
    """Return the best caption of an image as text, by the model that ships with looksay.

    The model is loaded at the first call and kept. Image, options and errors are those of `Captioner.__call__`.
    """
    (outcome,) = _default().captions([image], **options)
    best: Caption = _raise_if_error(outcome)
    return best.text
