"""Networks + search → captions."""

from __future__ import annotations

import functools
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from looksay import images
from looksay.decoding import logits_processors
from looksay.decoding.constrained_beam_search import guided
from looksay.decoding.options import DecodingOptions, Overrides
from looksay.decoding.search import Hypothesis, search
from looksay.decoding.state import DecoderState, Tokens
from looksay.errors import BundleError, ImageError, OptionError
from looksay.images import ImageSource
from looksay.runtime.bundle import TAGS, Bundle
from looksay.runtime.hub import DEFAULT, locate
from looksay.runtime.onnx_model import SCORES, Arrays, OnnxModel
from looksay.tagging.concepts import ConceptTable
from looksay.types import Caption, Device

_MOST_WORKERS = 8  # each needs memory for a batch, and Python itself would soon be what they wait for

Prepared = tuple[NDArray[np.float32], ...]
"""An image as each model wants it: (3, size, size)."""


class Captioner:
    """Says what prepared show.

    Parameters
    ----------
    bundle : Bundle
        The model; `looksay.load` opens one by its name.
    *others : Bundle
        Models of the same words that have a say in each word: the mean of all probabilities counts (an ensemble). The
        search and the attention are those of `bundle`.
    threads : int, optional
        CPU threads for an image; by default all cores.
    device : {"cpu", "cuda", "coreml", "directml", "openvino"}
        What the networks run on.

    Raises
    ------
    BundleError
        If ONNX Runtime cannot load a model, or if models have different words.
    OptionError
        If ONNX Runtime cannot use the device.
    """

    def __init__(self, bundle: Bundle, *others: Bundle, threads: int | None = None, device: Device = "cpu") -> None:
        self.bundle = bundle
        for other in others:
            if other.vocabulary != bundle.vocabulary:
                raise BundleError(
                    f"{other.folder.name} has other words than {bundle.folder.name}; train both on the same captions, "
                    "with the same vocabulary.min_count"
                )
        self._threads, self._device = threads or os.cpu_count() or 1, device
        self._networks = [OnnxModel(one, threads, f"{place}.", device) for place, one in enumerate((bundle, *others))]
        if bundle.tags and self._networks[0].classes < bundle.tags.classes:
            raise BundleError(f"{bundle.folder}: {TAGS} names classes that the encoder does not tell; export it again")

    @property
    def name(self) -> str:
        """The model's name, or the names of all that have a say."""
        return " + ".join(bundle.spec.name for bundle in self.bundles)

    @property
    def bundles(self) -> list[Bundle]:
        """All models that have a say, the first one first."""
        return [network.bundle for network in self._networks]

    def __call__(self, image: ImageSource, *, attention: bool = False, **options: Any) -> Caption:
        """Return the best caption of an image.

        Parameters
        ----------
        image : path, bytes, binary file, PIL image, or ndarray
        attention : bool
            Also say where the model looked for each word.
        **options
            Any of `DecodingOptions`, in place of the model's own: ``beam=5``.

        Raises
        ------
        ImageError
            If the image cannot be read.
        OptionError
            If an option is unknown or out of its range.
        """
        return self.candidates(image, attention=attention, **options)[0]

    def candidates(self, image: ImageSource, *, attention: bool = False, **options: Any) -> list[Caption]:
        """Return the `num_captions` captions of an image, the best first; see `__call__`."""
        (outcome,) = self._say_readable([image], self.options(options), attention)
        if isinstance(outcome, ImageError):
            raise outcome
        return outcome

    def captions(self, sources: Iterable[ImageSource], *, batch: int = 8, **options: Any) -> Iterator[Caption]:
        """Yield the best caption of each image, in order and in constant memory; see `__call__`."""
        for outcome in self.outcomes(sources, batch=batch, **options):
            if isinstance(outcome, ImageError):
                raise outcome
            yield outcome[0]

    def outcomes(
        self,
        sources: Iterable[ImageSource],
        *,
        batch: int = 8,
        attention: bool = False,
        **options: Any,
    ) -> Iterator[list[Caption] | ImageError]:
        """Return an iterator over prepared: of each its `num_captions` captions, or the error if it cannot be read.

        Parameters
        ----------
        sources : iterable of prepared
            Read a few batches ahead, so it may be endless.
        batch : int
            CaptionDataset captioned together; each core has a batch of its own.
        """
        chosen = self.options(options)
        if isinstance(sources, str | bytes):
            raise OptionError("sources is one image; name several, in a list")
        if batch < 1:
            raise OptionError(f"batch is {batch}; it must be 1 or more")
        return self._stream(iter(sources), batch, chosen, attention)

    def _stream(
        self, sources: Iterator[ImageSource], batch: int, options: DecodingOptions, attention: bool
    ) -> Iterator[list[Caption] | ImageError]:
        first, second = list(islice(sources, batch)), list(islice(sources, batch))
        if not second:  # nothing to share among workers
            yield from self._say_readable(first, options, attention)
            return
        # Whole batches side by side, each on a core of its own, leave no core waiting for another.
        workers = min(self._threads, _MOST_WORKERS) if self._device == "cpu" else 1
        with ThreadPoolExecutor(workers) as pool:
            say = self._worker._say_readable
            waiting = deque(pool.submit(say, group, options, attention) for group in (first, second))
            while group := list(islice(sources, batch)):
                waiting.append(pool.submit(say, group, options, attention))
                while len(waiting) > workers or (waiting and waiting[0].done()):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    @functools.cached_property
    def _worker(self) -> Captioner:
        """The same captioner with as many threads as a worker has cores."""
        threads = max(1, self._threads // _MOST_WORKERS)
        if threads == self._threads or self._device != "cpu":
            return self
        return Captioner(*self.bundles, threads=threads)

    def _say_readable(
        self, sources: Sequence[ImageSource], options: DecodingOptions, attention: bool
    ) -> list[list[Caption] | ImageError]:
        """Caption those images of a batch that can be read."""
        prepared = [self._try(source) for source in sources]
        readable = [image for image in prepared if not isinstance(image, ImageError)]
        captions = iter(self.generate(readable, options, attention=attention) if readable else [])
        return [image if isinstance(image, ImageError) else next(captions) for image in prepared]

    def options(self, changes: Overrides) -> DecodingOptions:
        """Return the model's own search options with changes.

        Raises
        ------
        OptionError
            If an option is unknown or out of its range.
        """
        own = self.bundle.spec.decoding
        unknown = set(changes) - {field.name for field in fields(DecodingOptions)}
        if unknown:
            known = ", ".join(field.name for field in fields(DecodingOptions))
            raise OptionError(f"there is no search option {', '.join(sorted(unknown))}; there are {known}")
        if "num_beams" not in changes:  # asking for five captions is asking to look for five
            changes["num_beams"] = max(own.num_beams, changes.get("num_captions", 1))
        chosen = replace(own, **changes)
        logits_processors.of(chosen, self.bundle.vocabulary)  # which refuses words that it cannot say
        return chosen

    def _try(self, source: ImageSource) -> Prepared | ImageError:
        try:
            return self.prepare(source)
        except ImageError as error:
            return error

    def prepare(self, source: ImageSource) -> Prepared:
        """Read an image; return it as each model wants it.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        specs = [bundle.spec.image for bundle in self.bundles]
        image = images.read(source, least=max(spec.size for spec in specs))
        made = {spec: images.normalise(images.resize(image, spec), spec) for spec in set(specs)}
        return tuple(made[spec] for spec in specs)

    def search(self, state: DecoderState, options: DecodingOptions) -> list[list[Hypothesis]]:
        """Find the best captions of encoded prepared; where they lack nouns that the encoder is sure of, with these."""
        words, table = self.bundle.vocabulary, self.bundle.tags
        obeyed = logits_processors.of(options, words)
        begun = set(words.encode(options.prefix))
        quiet = [word for word in words.known_ids(table.rare_words) if word not in begun] if table else []
        found = search(
            self.step, state, options, start=words.start, end=words.end, rules=[*obeyed, logits_processors.never(quiet)]
        )
        if table is None or not options.tags or options.temperature:
            return found
        # It is the second search of these prepared: a narrower one says nearly the same in less time.
        narrower = replace(
            options, num_beams=max(options.num_captions, math.ceil(2 / 3 * options.num_beams)), num_beam_groups=1
        )
        for place, (seen, said) in enumerate(zip(self._recognised(state, table), found, strict=True)):
            wish = table.wish(seen, words.to_tokens(said[0].tokens))
            wanted = [ids for nouns in wish.wanted if (ids := words.known_ids(nouns))]
            if wanted:
                asked = {each for ids in wanted for each in ids}
                unsaid = (set(words.known_ids(wish.unwanted)) | set(quiet) - asked) - begun
                found[place] = guided(
                    self.step, state.take(np.array([place])), narrower, wanted, start=words.start, end=words.end,
                    rules=[*obeyed, logits_processors.never(sorted(unsaid)), logits_processors.article(quiet, words)],
                ) or said  # fmt: skip
        return found

    def _recognised(self, state: DecoderState, table: ConceptTable) -> NDArray[np.float64]:
        """Return the probabilities of nouns, (prepared, nouns)."""
        return table.probabilities(state.memory[f"0.{SCORES}"])

    def generate(
        self, prepared: Sequence[Prepared], options: DecodingOptions, *, attention: bool = False
    ) -> list[list[Caption]]:
        """Caption prepared prepared together: of each its `num_captions` captions, the best first."""
        state = self.encode(prepared)
        found = self.search(state, options)
        looks = iter(self._look(state, found)) if attention else repeat(None)
        table = self.bundle.tags
        seen = self._recognised(state, table) if table else repeat(None)
        return [
            [self._describe(caption, next(looks), nouns) for caption in captions]
            for captions, nouns in zip(found, seen, strict=bool(table))
        ]

    def _describe(
        self, caption: Hypothesis, attention: NDArray[np.float32] | None, nouns: NDArray[np.float64] | None
    ) -> Caption:
        vocabulary, table = self.bundle.vocabulary, self.bundle.tags
        words = vocabulary.to_tokens(caption.tokens)
        tags = table.tags(nouns, words) if table and nouns is not None else ()
        return Caption(vocabulary.decode(caption.tokens), words, caption.log_prob, attention, tags)

    def encode(self, prepared: Sequence[Prepared]) -> DecoderState:
        """Look at prepared prepared: the state before the first word."""
        memory: Arrays = {}
        hidden: Arrays = {}
        for network, pixels in zip(self._networks, zip(*prepared, strict=True), strict=True):
            for known, new in zip((memory, hidden), network.encode(np.stack(pixels)), strict=True):
                known.update(new)
        return DecoderState.begin(memory, hidden)

    def step(self, tokens: Tokens, state: DecoderState) -> tuple[NDArray[np.float32], DecoderState]:
        """Give `search` the log-probabilities of the next word."""
        said, _, hidden = zip(*(network.step(tokens, state) for network in self._networks), strict=True)
        log_probs = said[0] if len(said) == 1 else np.logaddexp.reduce(said) - math.log(len(said))
        return log_probs, replace(state, hidden={k: v for part in hidden for k, v in part.items()})

    def _look(self, state: DecoderState, found: Sequence[Sequence[Hypothesis]]) -> Iterator[NDArray[np.float32]]:
        """Write finished captions once more, all together: the first model's attention at each word of each."""
        captions = [caption.tokens for of_one in found for caption in of_one]
        state = state.take(np.repeat(np.arange(len(found)), [len(of_one) for of_one in found]))
        words, grid = self.bundle.vocabulary, self.bundle.spec.grid
        steps = max(map(len, captions))
        read = np.full((len(captions), steps + 1), words.end)
        read[:, 0] = words.start
        for row, tokens in enumerate(captions):
            read[row, 1 : 1 + len(tokens)] = tokens
        looks = np.zeros((len(captions), steps, grid[0] * grid[1]), dtype=np.float32)
        for step in range(steps):
            _, looks[:, step], hidden = self._networks[0].step(read[:, step], state)
            state = replace(state, hidden=hidden)
        return (look[: len(tokens)].reshape(-1, *grid) for look, tokens in zip(looks, captions, strict=True))


def load(
    model: str | Path = DEFAULT, *others: str | Path, threads: int | None = None, device: Device = "cpu"
) -> Captioner:
    """Load a captioner.

    Parameters
    ----------
    model : str or Path
        The name of a model that ships with looksay, a model folder, or a hub id (``owner/name``).
    *others : str or Path
        Models of the same words that caption together with it, as an ensemble; see `Captioner`.
    threads : int, optional
        CPU threads; by default all cores.
    device : {"cpu", "cuda", "coreml", "directml", "openvino"}
        What the networks run on, where the installed ONNX Runtime can.

    Returns
    -------
    Captioner

    Raises
    ------
    BundleError
        If there is no such model, if it is damaged, or if models have different words.
    OptionError
        If ONNX Runtime cannot use the device.
    """
    return Captioner(*(Bundle.open(locate(name)) for name in (model, *others)), threads=threads, device=device)


@functools.cache
def _default() -> Captioner:
    return load()


def caption(image: ImageSource, **options: Any) -> str:
    """Say what an image shows, with the model that ships with looksay.

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
        If the image cannot be read.
    """
    return _default()(image, **options).text
