"""Bundle + ONNX Runtime + search → captions."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from looksay import images, rules
from looksay.bundle import DECODER, ENCODER, Bundle
from looksay.errors import BundleError, ImageError, OptionError
from looksay.hub import DEFAULT, locate
from looksay.images import ImageSource
from looksay.search import DecoderState, Hypothesis, Tokens, search
from looksay.specs import Caption, SearchChanges, SearchOptions

Arrays = dict[str, NDArray[np.float32]]


class Captioner:
    """Says what pictures show.

    Parameters
    ----------
    bundle : Bundle
        The model; `looksay.load` opens one by its name.
    threads : int, optional
        CPU threads for a picture; by default all cores.

    Raises
    ------
    BundleError
        If ONNX Runtime cannot load the model.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle = bundle
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3  # errors only: standard error belongs to the user
        settings.intra_op_num_threads = threads or 0
        try:
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(bundle.folder / name, settings, providers=["CPUExecutionProvider"])
                for name in (ENCODER, DECODER)
            )
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise BundleError(f"ONNX Runtime {onnxruntime.__version__} cannot load {bundle.folder}: {error}") from error

    def __call__(self, image: ImageSource, *, attention: bool = False, **options: Unpack[SearchChanges]) -> Caption:
        """Return the best caption of a picture.

        Parameters
        ----------
        image : path, bytes, binary file, PIL image, or ndarray
        attention : bool
            Also say where the model looked for each word.
        **options
            Any of `SearchOptions`, in place of the model's own: ``beam=5``.

        Raises
        ------
        ImageError
            If the picture cannot be read.
        OptionError
            If an option is unknown or out of its range.
        """
        return self.candidates(image, attention=attention, **options)[0]

    def candidates(
        self, image: ImageSource, *, attention: bool = False, **options: Unpack[SearchChanges]
    ) -> list[Caption]:
        """Return the `n_best` captions of a picture, the best first; see `__call__`."""
        outcome = next(self.outcomes([image], attention=attention, **options))
        if isinstance(outcome, ImageError):
            raise outcome
        return outcome

    def captions(
        self, sources: Iterable[ImageSource], *, batch: int = 16, **options: Unpack[SearchChanges]
    ) -> Iterator[Caption]:
        """Yield the best caption of each picture, in order and in constant memory; see `__call__`."""
        for outcome in self.outcomes(sources, batch=batch, **options):
            if isinstance(outcome, ImageError):
                raise outcome
            yield outcome[0]

    def outcomes(
        self,
        sources: Iterable[ImageSource],
        *,
        batch: int = 16,
        attention: bool = False,
        **options: Unpack[SearchChanges],
    ) -> Iterator[list[Caption] | ImageError]:
        """Return an iterator over pictures: of each its `n_best` captions, or the error if it cannot be read.

        Parameters
        ----------
        sources : iterable of pictures
            Read `batch` at a time, so it may be endless.
        batch : int
            Pictures captioned together.
        """
        chosen = self._options(options)
        if isinstance(sources, str | bytes):
            raise OptionError("sources is one picture; name several, in a list")
        if batch < 1:
            raise OptionError(f"batch is {batch}; it must be 1 or more")
        return self._stream(iter(sources), batch, chosen, attention)

    def _stream(
        self, sources: Iterator[ImageSource], batch: int, options: SearchOptions, attention: bool
    ) -> Iterator[list[Caption] | ImageError]:
        while group := list(islice(sources, batch)):
            prepared = [self._prepare(source) for source in group]
            pictures = [pixels for pixels in prepared if not isinstance(pixels, ImageError)]
            captions = iter(self._caption(np.stack(pictures), options, attention) if pictures else [])
            for pixels in prepared:
                yield pixels if isinstance(pixels, ImageError) else next(captions)

    def _options(self, changes: SearchChanges) -> SearchOptions:
        own = self.bundle.spec.search
        unknown = set(changes) - {field.name for field in fields(SearchOptions)}
        if unknown:
            known = ", ".join(field.name for field in fields(SearchOptions))
            raise OptionError(f"there is no search option {', '.join(sorted(unknown))}; there are {known}")
        if "beam" not in changes:  # asking for five captions is asking to look for five
            changes["beam"] = max(own.beam, changes.get("n_best", 1))
        return replace(own, **changes)

    def _prepare(self, source: ImageSource) -> NDArray[np.float32] | ImageError:
        try:
            return images.prepare(source, self.bundle.spec.image)
        except ImageError as error:
            return error

    def search(self, state: DecoderState, options: SearchOptions) -> list[list[Hypothesis]]:
        """Find the best captions of encoded pictures."""
        words = self.bundle.vocabulary
        return search(self.step, state, options, start=words.start, end=words.end, rules=rules.of(options, words))

    def _caption(self, pixels: NDArray[np.float32], options: SearchOptions, attention: bool) -> list[list[Caption]]:
        state = self.encode(pixels)
        return [
            [
                self._describe(caption, self._look(state.take(np.array([row])), caption) if attention else None)
                for caption in captions
            ]
            for row, captions in enumerate(self.search(state, options))
        ]

    def _describe(self, caption: Hypothesis, attention: NDArray[np.float32] | None) -> Caption:
        vocabulary = self.bundle.vocabulary
        return Caption(vocabulary.decode(caption.tokens), vocabulary.spell(caption.tokens), caption.log_prob, attention)

    def encode(self, pixels: NDArray[np.float32]) -> DecoderState:
        """Look at prepared pictures, shape (pictures, 3, size, size): the state before the first word."""
        outputs = _run(self._encoder, {"image": pixels})
        memory = {name: array for name, array in outputs.items() if name.startswith("memory.")}
        hidden = {name: array for name, array in outputs.items() if name.startswith("state.")}
        return DecoderState.begin(memory, hidden)

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], DecoderState]:
        """Give `search` the log-probabilities of the next word."""
        outputs = self._run_decoder(tokens, state)
        return outputs["log_probs"], _next(state, outputs)

    def _run_decoder(self, tokens: Tokens, state: DecoderState) -> Arrays:
        return _run(self._decoder, {"token": tokens, **state.memory, **state.hidden})

    def _look(self, state: DecoderState, caption: Hypothesis) -> NDArray[np.float32]:
        """Write a finished caption once more, to see the attention at each word: (words, rows, columns)."""
        maps = []
        for token in (self.bundle.vocabulary.start, *caption.tokens)[:-1]:
            outputs = self._run_decoder(np.array([token]), state)
            maps.append(outputs["attention"])
            state = _next(state, outputs)
        return np.reshape(maps, (len(maps), *self.bundle.spec.grid))


def _run(session: onnxruntime.InferenceSession, inputs: dict[str, Any]) -> Arrays:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _next(state: DecoderState, outputs: Arrays) -> DecoderState:
    return replace(state, hidden={name: outputs[f"next.{name}"] for name in state.hidden})


def load(model: str | Path = DEFAULT, *, threads: int | None = None) -> Captioner:
    """Load a captioner.

    Parameters
    ----------
    model : str or Path
        The name of a model that ships with looksay, a model folder, or a hub id (``owner/name``).
    threads : int, optional
        CPU threads; by default all cores.

    Returns
    -------
    Captioner

    Raises
    ------
    BundleError
        If there is no such model, or if it is damaged.
    """
    return Captioner(Bundle.open(locate(model)), threads)


@functools.cache
def _default() -> Captioner:
    return load()


def caption(image: ImageSource, **options: Unpack[SearchChanges]) -> str:
    """Say what a picture shows, with the model that ships with looksay.

    The model is loaded on the first call and kept.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image, or ndarray
    **options
        See `Captioner.__call__`.

    Returns
    -------
    str

    Raises
    ------
    ImageError
        If the picture cannot be read.
    """
    return _default()(image, **options).text
