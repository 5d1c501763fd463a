"""What the server counts, for Prometheus."""

from __future__ import annotations

import time
from collections import deque

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_MINUTE = 60.0


class Metrics:
    """Counters of one server.

    Attributes
    ----------
    requests : Counter
        By method, path and status.
    seconds : Histogram
        What requests for captions took.
    queue : Gauge
        CaptionDataset that wait or are worked on.
    batch : Histogram
        CaptionDataset captioned together.
    images : Counter
        By outcome: captioned or failed.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "looksay_requests", "Requests answered.", ("method", "path", "status"), registry=registry
        )
        self.seconds = Histogram(
            "looksay_request_seconds", "What requests for captions took.", buckets=_SECONDS, registry=registry
        )
        self.queue = Gauge("looksay_queue_images", "Images that wait or are worked on.", registry=registry)
        self.batch = Histogram("looksay_batch_images", "Images captioned together.", buckets=_SIZES, registry=registry)
        self.images = Counter("looksay_images", "Images, by outcome.", ("outcome",), registry=registry)
        rate = Gauge("looksay_images_per_second", "Images captioned in the last minute.", registry=registry)
        rate.set_function(self._rate)
        self._started = time.monotonic()
        self._done: deque[float] = deque()

    def captioned(self) -> None:
        """Count an image that has its captions."""
        self.images.labels("captioned").inc()
        self._done.append(time.monotonic())
        self._forget()

    def text(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        return generate_latest(self._registry)

    def _forget(self) -> None:
        while self._done and self._done[0] < time.monotonic() - _MINUTE:
            self._done.popleft()

    def _rate(self) -> float:
        self._forget()
        return len(self._done) / max(1.0, min(_MINUTE, time.monotonic() - self._started))
