"""Images of concurrent requests are read in parallel and captioned together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from looksay import images
from looksay.captioner import Captioner, Prepared
from looksay.decoding.options import DecodingOptions
from looksay.errors import ImageError
from looksay.server.prometheus import Metrics
from looksay.server.settings import BATCH_WAIT, MAX_JPEG_SCANS, READER_THREADS, STALLED_AFTER, ServerSettings
from looksay.tagging.confidence import trusted
from looksay.types import Caption

A = TypeVar("A")
R = TypeVar("R")

Seconds = dict[str, float]
"""The duration of each step of an image: queue, read, encode and decode."""


class QueueFull(Exception):
    """The queue has no room for the images of a request."""


@dataclass(eq=False)
class _Job:
    image: Prepared
    options: tuple[DecodingOptions, bool]  # whether with attention
    captions: asyncio.Future[tuple[list[Caption], Seconds]]


class Batcher:
    """Reads images in threads, and captions them in batches in a thread of its own, first come, first served."""

    def __init__(self, captioner: Captioner, settings: ServerSettings, metrics: Metrics) -> None:
        self._captioner, self._settings, self._metrics = captioner, settings, metrics
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="reader")
        self._generator = ThreadPoolExecutor(1, thread_name_prefix="captioner")
        self._free_readers = asyncio.Semaphore(READER_THREADS)
        self._at_work: dict[Future[Any], float] = {}  # since when, for each thread that should be at work
        self._jobs: deque[_Job] = deque()
        self._has_jobs = asyncio.Event()
        self._queued = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Caption batches inside this context."""
        self._task = asyncio.create_task(self._run())
        yield
        self._task.cancel()

    @property
    def is_ready(self) -> bool:
        """Whether images can be captioned: False while a thread is dead or hangs."""
        now = time.monotonic()
        longest = now - min([*self._at_work.values()], default=now)
        return not self._task.done() and longest <= min(STALLED_AFTER, self._settings.timeout)

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

    def _add_queued(self, count: int) -> None:
        self._queued += count
        self._metrics.queue.set(self._queued)

    async def caption(
        self, content: bytes, options: DecodingOptions, *, attention: bool
    ) -> tuple[list[Caption], tuple[int, int], Seconds]:
        """Read and caption an image: its captions, its width and height, and the duration of each step.

        Raises an `ImageError` if it cannot be read, and a `LowConfidence` if its caption is left out. If cancelled
        while the image waits, it is not captioned.
        """
        start, loop = time.perf_counter(), asyncio.get_running_loop()
        async with self._free_readers:
            reading = self._submit(self._readers, self._read, content)
            try:
                prepared, size, read = await asyncio.wrap_future(reading)
            except asyncio.CancelledError:
                if reading.running():  # a thread cannot be cancelled: its place stays taken until it has finished
                    self._add_queued(1)
                    reading.add_done_callback(lambda _: loop.call_soon_threadsafe(self._add_queued, -1))
                raise
        job = _Job(prepared, (options, attention), loop.create_future())
        self._jobs.append(job)
        self._has_jobs.set()
        captions, seconds = await job.captions
        outcome = trusted(captions, options.min_confidence, "<bytes>")
        if isinstance(outcome, ImageError):
            raise outcome
        queue = time.perf_counter() - start - read - sum(seconds.values())
        return captions, size, {"queue": queue, "read": read, **seconds}

    def _submit(self, threads: ThreadPoolExecutor, function: Callable[[A], R], argument: A) -> Future[R]:
        future = threads.submit(function, argument)
        self._at_work[future] = time.monotonic()
        future.add_done_callback(self._at_work.pop)
        return future

    def _read(self, content: bytes) -> tuple[Prepared, tuple[int, int], float]:
        start = time.perf_counter()
        if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > MAX_JPEG_SCANS:
            raise ImageError(f"the JPEG has more than {MAX_JPEG_SCANS} scans and would take too long to decode")
        image = images.read(content, self._settings.max_pixels)
        return self._captioner.prepare(image), image.size, time.perf_counter() - start

    async def _run(self) -> None:
        while True:
            await self._has_jobs.wait()
            if len(self._jobs) < self._settings.batch:
                await asyncio.sleep(BATCH_WAIT)
            batch = self._next_batch()
            if not batch:
                continue
            self._metrics.batch.observe(len(batch))
            try:
                captions, seconds = await asyncio.wrap_future(self._submit(self._generator, self._generate, batch))
            except Exception as error:  # of any kind: the requests receive it, and later batches are captioned
                for job in batch:
                    if not job.captions.done():
                        job.captions.set_exception(error)
            else:
                for job, captions_of_image in zip(batch, captions, strict=False):
                    if not job.captions.done():
                        job.captions.set_result((captions_of_image, seconds))

    def _generate(self, batch: list[_Job]) -> tuple[list[list[Caption]], Seconds]:
        options, attention = batch[0].options
        start = time.perf_counter()
        try:
            state = self._captioner.encode([job.image for job in batch])
            encoded = time.perf_counter()
            captions = self._captioner.describe(state, self._captioner.decode(state, options), attention=attention)
        except SystemExit as error:  # would end the server
            raise RuntimeError("captioning called exit()") from error
        return captions, {"encode": encoded - start, "decode": time.perf_counter() - encoded}

    def _next_batch(self) -> list[_Job]:
        """Remove and return the oldest job, and later ones with the same options."""
        waiting = [job for job in self._jobs if not job.captions.done()]
        batch = [job for job in waiting if job.options == waiting[0].options][: self._settings.batch]
        self._jobs = deque(job for job in waiting if job not in batch)
        if not self._jobs:
            self._has_jobs.clear()
        return batch
