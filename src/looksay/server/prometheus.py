"""Metrics of the server in Prometheus' text format."""

from __future__ import annotations

import time
from collections import deque

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
_MINUTE = 60.0


class Metrics:
    """Metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ("method", "path", "status")
        self.requests = Counter("looksay_requests", "Requests answered.", labels, registry=registry)
        self.seconds = Histogram(
            "looksay_request_seconds", "Duration of caption requests in seconds.", buckets=_SECONDS, registry=registry
        )
        self.queue = Gauge("looksay_queue_images", "Images being processed or waiting.", registry=registry)
        self.batch = Histogram(
            "looksay_batch_images", "Images captioned together.", buckets=_BATCH_SIZES, registry=registry
        )
        self.images = Counter(
            "looksay_images", "Images by outcome: captioned or failed.", ("outcome",), registry=registry
        )
        rate = Gauge("looksay_images_per_second", "Images captioned per second, last minute.", registry=registry)
        rate.set_function(self._rate)
        self._start = time.monotonic()
        self._captioned: deque[float] = deque()  # times

    def count_captioned(self) -> None:
        """Count an image that was captioned."""
        self.images.labels("captioned").inc()
        self._captioned.append(time.monotonic())
        self._rate()  # drops old times, whether or not anyone reads the metrics

    def text(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self._registry)

    def _rate(self) -> float:
        now = time.monotonic()
        while self._captioned and self._captioned[0] < now - _MINUTE:
            self._captioned.popleft()
        return len(self._captioned) / max(1.0, min(_MINUTE, now - self._start))
