"""Requests that arrive together are captioned together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from looksay.captioner import Captioner, Prepared
from looksay.decoding.options import DecodingOptions
from looksay.server.prometheus import Metrics
from looksay.server.settings import Limits
from looksay.types import Caption


class Busy(Exception):
    """There is no room for so many images now."""


@dataclass(eq=False)
class _Job:
    image: Prepared
    options: DecodingOptions
    attention: bool
    found: asyncio.Future[list[Caption]]

    @property
    def kind(self) -> tuple[DecodingOptions, bool]:
        """What images must agree in to be captioned together."""
        return self.options, self.attention


class Batcher:
    """Captions images in batches, in a thread of its own, in the order in which they came.

    Parameters
    ----------
    captioner : Captioner
    limits : Limits
        Its `queue`, `batch` and `wait`.
    metrics : Metrics
    """

    def __init__(self, captioner: Captioner, limits: Limits, metrics: Metrics) -> None:
        self._captioner = captioner
        self._limits = limits
        self._metrics = metrics
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="captioner")
        self._taken = 0

    @contextmanager
    def places(self, count: int) -> Iterator[None]:
        """Keep places for images while they are worked on.

        Raises
        ------
        Busy
            If the queue has not so many.
        """
        if self._taken + count > self._limits.queue:
            raise Busy
        self._take_places(count)
        try:
            yield
        finally:
            self._take_places(-count)

    def linger(self, reading: Future[Any]) -> None:
        """Keep a place for an image that nobody waits for any more, until its thread is done with it."""
        loop = asyncio.get_running_loop()
        self._take_places(1)
        reading.add_done_callback(lambda _: loop.call_soon_threadsafe(self._take_places, -1))

    def _take_places(self, count: int) -> None:
        self._taken += count
        self._metrics.queue.set(self._taken)

    async def say(self, image: Prepared, options: DecodingOptions, *, attention: bool) -> list[Caption]:
        """Caption an image; cancelled, it is not begun."""
        job = _Job(image, options, attention, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._arrived.set()
        return await job.found

    async def run(self) -> None:
        """Work, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if len(self._jobs) < self._limits.batch:
                await asyncio.sleep(self._limits.wait)
            batch = self._take()
            if not batch:
                continue
            images, (options, attention) = [job.image for job in batch], batch[0].kind
            self._metrics.batch.observe(len(batch))
            try:
                found = await loop.run_in_executor(self._thread, self._say, images, options, attention)
            except Exception as error:  # whatever it is, the requests must hear of it, and the next ones be served
                for job in batch:
                    if not job.found.done():
                        job.found.set_exception(error)
            else:
                for job, captions in zip(batch, found, strict=False):
                    if not job.found.done():
                        job.found.set_result(captions)

    def _say(self, images: list[Prepared], options: DecodingOptions, attention: bool) -> list[list[Caption]]:
        return self._captioner.generate(images, options, attention=attention)

    def _take(self) -> list[_Job]:
        """Take the image that has waited longest, and those that can be captioned with it."""
        waiting = [job for job in self._jobs if not job.found.done()]
        batch = [job for job in waiting if job.kind == waiting[0].kind][: self._limits.batch]
        taken = set(batch)
        self._jobs = deque(job for job in waiting if job not in taken)
        if not self._jobs:
            self._arrived.clear()
        return batch
