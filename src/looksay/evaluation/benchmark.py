"""Latency, throughput and memory of a captioner on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from looksay.captioner import Captioner
from looksay.decoding.options import DecodingOptions
from looksay.images import ImageSource

PARTS = ("read", "encode", "decode")


def latency(
    captioner: Captioner, sources: Sequence[ImageSource], options: DecodingOptions, seconds: float
) -> tuple[NDArray[np.float64], float]:
    """Caption images one by one for some seconds, each at least once, without loading the model.

    Return the seconds that the `PARTS` of each caption took, shape (captions, parts), and the mean length in words.
    """
    times: list[list[float]] = []
    words: list[int] = []
    end, clock = 0.0, time.perf_counter
    for source in cycle(sources):
        marks = [clock()]
        prepared = [captioner.prepare(source)]
        marks.append(clock())
        state = captioner.encode(prepared)
        marks.append(clock())
        ((best, *_),) = captioner.decode(state, options)
        marks.append(clock())
        if end:  # the first image is for warming up
            times.append(np.diff(marks).tolist())
            words.append(len(best.tokens))
        end = end or marks[-1] + seconds
        if marks[-1] > end and len(times) >= len(sources):
            break
    return np.array(times), float(np.mean(words))


def throughput(
    captioner: Captioner, sources: Sequence[ImageSource], batch: int, options: dict[str, Any], seconds: float
) -> float:
    """Return the images captioned per second in a stream of about this many seconds."""

    def caption(count: int) -> float:
        start = time.perf_counter()
        for _ in captioner.captions(islice(cycle(sources), count), batch=batch, **options):
            pass
        return time.perf_counter() - start

    caption(2 * batch)  # loads the workers' copies of the model
    count = max(16 * batch, len(sources))  # at least two batches for each worker
    while (elapsed := caption(count)) <= seconds / 2:
        count *= max(2, round(seconds / elapsed))
    return count / elapsed


def peak_memory() -> float | None:
    """Return the peak memory of this process in MB, or None where the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
