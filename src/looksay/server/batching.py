"""Images of concurrent requests are captioned together."""

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
from looksay.server.settings import BATCH_WAIT, ServerSettings
from looksay.types import Caption


class QueueFull(Exception):
    """The queue has no room for the images of a request."""


@dataclass(eq=False)
class _Job:
    image: Prepared
    options: tuple[DecodingOptions, bool]  # whether with attention
    captions: asyncio.Future[list[Caption]]


class Batcher:
    """Captions images in batches, in a thread of its own, first come, first served."""

    def __init__(self, captioner: Captioner, settings: ServerSettings, metrics: Metrics) -> None:
        self._captioner, self._settings, self._metrics = captioner, settings, metrics
        self._jobs: deque[_Job] = deque()
        self._has_jobs = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="captioner")
        self._queued = 0

    @contextmanager
    def reserve(self, count: int) -> Iterator[None]:
        """Hold places in the queue for the images of a request; raise `QueueFull` if fewer are free."""
        if self._queued + count > self._settings.queue:
            raise QueueFull
        self._add_queued(count)
        try:
            yield
        finally:
            self._add_queued(-count)

    def reserve_until_read(self, reading: Future[Any]) -> None:
        """Hold a place for an image of a request that is gone, until the thread that decodes it has finished."""
        loop = asyncio.get_running_loop()
        self._add_queued(1)
        reading.add_done_callback(lambda _: loop.call_soon_threadsafe(self._add_queued, -1))

    def _add_queued(self, count: int) -> None:
        self._queued += count
        self._metrics.queue.set(self._queued)

    async def caption(self, image: Prepared, options: DecodingOptions, *, attention: bool) -> list[Caption]:
        """Return the captions of an image; if cancelled while the image waits, it is not captioned."""
        job = _Job(image, (options, attention), asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._has_jobs.set()
        return await job.captions

    async def run(self) -> None:
        """Caption batches until cancelled."""
        while True:
            await self._has_jobs.wait()
            if len(self._jobs) < self._settings.batch:
                await asyncio.sleep(BATCH_WAIT)
            batch = self._next_batch()
            if not batch:
                continue
            self._metrics.batch.observe(len(batch))
            try:
                captions = await asyncio.get_running_loop().run_in_executor(self._thread, self._generate, batch)
            except Exception as error:  # of any kind: the requests receive it, and later batches are captioned
                for job in batch:
                    if not job.captions.done():
                        job.captions.set_exception(error)
            else:
                for job, captions_of_image in zip(batch, captions, strict=False):
                    if not job.captions.done():
                        job.captions.set_result(captions_of_image)

    def _generate(self, batch: list[_Job]) -> list[list[Caption]]:
        options, attention = batch[0].options
        return self._captioner.generate([job.image for job in batch], options, attention=attention)

    def _next_batch(self) -> list[_Job]:
        """Remove and return the oldest job, and later ones with the same options."""
        waiting = [job for job in self._jobs if not job.captions.done()]
        batch = [job for job in waiting if job.options == waiting[0].options][: self._settings.batch]
        self._jobs = deque(job for job in waiting if job not in batch)
        if not self._jobs:
            self._has_jobs.clear()
        return batch
