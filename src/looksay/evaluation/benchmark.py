"""Latency, throughput and memory of a captioner on this machine."""

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

PARTS = ("read", "encode", "decode")
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Latency:
    """Latency without loading the model."""

    whole: tuple[float, ...]  # seconds for one image at `PERCENTILES`
    parts: dict[str, tuple[float, ...]]  # the same for each of its `PARTS`
    words: float  # mean number of words of a caption
    images: int  # number of images measured


def latency(captioner: Captioner, sources: Sequence[ImageSource], options: DecodingOptions, seconds: float) -> Latency:
    """Caption images one by one for some seconds, each at least once."""
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
    rows = (np.sum(times, axis=1), *np.transpose(times))
    whole, *parts = (tuple(np.percentile(row, PERCENTILES).tolist()) for row in rows)
    return Latency(whole, dict(zip(PARTS, parts, strict=True)), float(np.mean(words)), len(times))


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
