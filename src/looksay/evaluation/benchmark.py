"""How fast a captioner is on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np

from looksay.captioner import Captioner
from looksay.decoding.options import DecodingOptions
from looksay.images import ImageSource

PARTS = ("read", "look", "say")
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Latency:
    """How long one image takes, alone and with the model loaded.

    Attributes
    ----------
    whole : tuple of float
        Seconds, at `PERCENTILES`.
    parts : dict of str to tuple of float
        The same of each of `PARTS`: to read and prepare the image, to run the encoder, to search the words.
    words : float
        Mean number of words of a caption.
    images : int
        How many were timed.
    """

    whole: tuple[float, ...]
    parts: dict[str, tuple[float, ...]]
    words: float
    images: int


def latency(captioner: Captioner, sources: Sequence[ImageSource], options: DecodingOptions, seconds: float) -> Latency:
    """Caption images one by one for some seconds, each of them once at least."""
    times: list[list[float]] = []
    words: list[int] = []
    end = 0.0
    for source in cycle(sources):
        marks = [time.perf_counter()]
        images = [captioner.prepare(source)]
        marks.append(time.perf_counter())
        state = captioner.encode(images)
        marks.append(time.perf_counter())
        ((best, *_),) = captioner.decode(state, options)
        marks.append(time.perf_counter())
        if end:  # the first one warms up
            times.append(np.diff(marks).tolist())
            words.append(len(best.tokens))
        end = end or marks[-1] + seconds
        if marks[-1] > end and len(times) >= len(sources):
            break
    whole, *parts = (_percentiles(part) for part in (np.sum(times, axis=1), *np.transpose(times)))
    return Latency(whole, dict(zip(PARTS, parts, strict=True)), float(np.mean(words)), len(times))


def _percentiles(times: Any) -> tuple[float, ...]:
    return tuple(np.percentile(times, PERCENTILES).tolist())


def throughput(
    captioner: Captioner, sources: Sequence[ImageSource], batch: int, options: dict[str, Any], seconds: float
) -> float:
    """Return how many images a second are captioned in a stream of them, for about so many seconds."""
    count = max(16 * batch, len(sources))  # two batches for each of as many workers as there can be
    for _ in captioner.captions(islice(cycle(sources), 2 * batch), batch=batch, **options):
        pass  # which loads the workers' own copy of the model
    while True:
        start = time.perf_counter()
        for _ in captioner.captions(islice(cycle(sources), count), batch=batch, **options):
            pass
        taken = time.perf_counter() - start
        if taken > seconds / 2:
            return count / taken
        count *= max(2, round(seconds / taken))


def peak_memory() -> float | None:
    """Return the most memory that this process has had, in MB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
