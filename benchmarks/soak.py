"""The server for an hour at 70 % of its capacity, with clients that misbehave: failed requests and memory.

``python benchmarks/soak.py [--minutes 60]`` starts ``looksay serve`` and measures its capacity: the requests per second
that it serves to clients that wait for each response. Then 70 % as many clients come each second. Most send good images
in several formats, as form or body, and repeat a request that is answered 503 after the seconds of ``Retry-After``.
Others send broken images, crash in the middle of their upload, do not wait for the response, or stop sending.

Prints one row. The exit code is 1 if a good request failed or got the captions of another image, if a broken image was
not answered with its error, if the server logged an error, or if its memory grew by more than `MAX_GROWTH`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx
from PIL import Image
from server_load import CLIENTS, memory, serving
from timing import EXAMPLES, LONG_SIDE, parser, print_row

LOAD = 0.7  # of the capacity
SHARES = {"good": 0.82, "broken": 0.08, "crashes": 0.05, "gives up": 0.05}
FORMATS = {"JPEG": {"quality": 85}, "JPEG progressive": {"progressive": True}, "PNG": {}, "WEBP": {}, "GIF": {}}
WARM_UP = 0.2  # of the time; memory may grow until every buffer has had its largest size
MAX_GROWTH = 10.0  # MB, of the line through the memory after the warm-up
ATTEMPTS = 30  # of a good client whose request is answered 503
BROKEN = (b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 99, b"RIFF\x10\0\0\0WEBPVP8 ", b"GIF89a\xff\xff\xff\xff")
HEAD = b"POST /v1/captions HTTP/1.1\r\nHost: %b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


class File(NamedTuple):
    """An image file."""

    name: str
    content: bytes


def photos() -> list[File]:
    """Return each sample photo in each format."""
    files = []
    for path in sorted(EXAMPLES.glob("*.*g")):
        with Image.open(path) as photo:
            photo.thumbnail((LONG_SIDE, LONG_SIDE))
            for name, options in FORMATS.items():
                memory = io.BytesIO()
                photo.convert("RGB").save(memory, name.split()[0], **options)
                files.append(File(f"{path.stem}, {name}", memory.getvalue()))
    return files


class Soak:
    """Clients of a server and what happened to them."""

    def __init__(self, url: str) -> None:
        self._url, self._random = httpx.URL(url), random.Random(0)  # noqa: S311
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self._client = httpx.AsyncClient(base_url=url, timeout=60, limits=limits)
        self._photos, self._captions = photos(), dict[str, str]()
        self.counts: Counter[str] = Counter(dict.fromkeys(SHARES, 0))
        self.failures: list[str] = []
        self.seconds: list[float] = []  # of good requests, of the last attempt of each

    async def _post(self, file: File, timeout: float = 60) -> httpx.Response:
        """Send an image as a form or as the body."""
        if self._random.random() < 0.5:
            return await self._client.post("/v1/captions", files={"images": (file.name, file.content)}, timeout=timeout)
        headers = {"Content-Type": "application/octet-stream"}
        return await self._client.post("/v1/captions", content=file.content, headers=headers, timeout=timeout)

    async def good(self) -> None:
        """Caption a photo, and compare its caption with that of the same file before."""
        file = self._random.choice(self._photos)
        for _ in range(ATTEMPTS):
            start = time.perf_counter()
            response = await self._post(file)
            if response.status_code != 503:
                break
            self.counts["repeated"] += 1
            await asyncio.sleep(float(response.headers["Retry-After"]) * self._random.uniform(1, 2))
        self.seconds.append(time.perf_counter() - start)
        if response.status_code == 200:
            text = response.json()["images"][0]["captions"][0]["text"]
            if text != self._captions.setdefault(file.name, text):
                self.failures.append(f"{file.name}: {text!r} in place of {self._captions[file.name]!r}")
        else:
            self.failures.append(f"{file.name}: status {response.status_code}, {response.text}")

    async def broken(self) -> None:
        """Send a file that is not an image."""
        response = await self._post(File("broken", self._random.choice(BROKEN)))
        if response.status_code not in (400, 422, 503):
            self.failures.append(f"a broken image: status {response.status_code}, {response.text}")

    async def crashes(self) -> None:
        """Reset the connection in the middle of the upload."""
        _, writer = await self._half_an_upload()
        writer.transport.abort()

    async def stalls(self) -> None:
        """Stop in the middle of each upload until the server answers, for ever."""
        while True:
            reader, writer = await self._half_an_upload()
            answer = await reader.read()
            writer.close()
            self.counts["stalls"] += 1
            if not answer.startswith(b"HTTP/1.1 408"):
                self.failures.append(f"a stalled upload: {answer!r}")

    async def _half_an_upload(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        content = self._random.choice(self._photos).content
        reader, writer = await asyncio.open_connection(self._url.host, self._url.port)
        writer.write(HEAD % (self._url.netloc, len(content)) + content[: len(content) // 2])
        await writer.drain()
        return reader, writer

    async def gives_up(self) -> None:
        """Close the connection without waiting for the response."""
        with contextlib.suppress(httpx.TimeoutException):
            await self._post(self._random.choice(self._photos), timeout=self._random.uniform(0.005, 0.2))

    async def capacity(self, seconds: float) -> float:
        """Return the good requests per second that are served to waiting clients."""
        end, before = time.perf_counter() + seconds, len(self.seconds)

        async def send_and_wait() -> None:
            while time.perf_counter() < end:
                await self.good()

        await asyncio.gather(*(send_and_wait() for _ in range(CLIENTS)))
        return (len(self.seconds) - before) / seconds

    async def run(self, rate: float, seconds: float) -> float:
        """Start `rate` clients per second, fewer while `CLIENTS` of them wait; return the rate that was kept."""
        start, waiting = time.perf_counter(), asyncio.Semaphore(CLIENTS)
        kinds = list(SHARES)
        stalled = asyncio.create_task(self.stalls())
        async with asyncio.TaskGroup() as clients:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
                (kind,) = self._random.choices(kinds, list(SHARES.values()))
                self.counts[kind] += 1
                await waiting.acquire()
                clients.create_task(self._start(kind)).add_done_callback(lambda _: waiting.release())
        stalled.cancel()
        await self._client.aclose()
        return int(rate * seconds) / (time.perf_counter() - start)

    async def _start(self, kind: str) -> None:
        try:
            await getattr(self, kind.replace(" ", "_"))()
        except (httpx.HTTPError, OSError) as error:
            self.failures.append(f"{kind}: {error!r}")


async def sample_memory(process: subprocess.Popen[bytes], samples: list[tuple[float, float]]) -> None:
    """Append time and memory of the server each second: hours and MB."""
    while True:
        samples.append((time.perf_counter() / 3600, memory(process)))
        await asyncio.sleep(1)


async def measure(url: str, process: subprocess.Popen[bytes], minutes: float) -> tuple[dict[str, object], list[str]]:
    """Run the clients; return the figures and what failed."""
    soak = Soak(url)
    await soak.capacity(min(10, 6 * minutes))  # warm-up
    capacity = await soak.capacity(min(10, 6 * minutes))
    soak.seconds.clear()
    soak.counts["repeated"] = 0
    samples: list[tuple[float, float]] = []
    sampler = asyncio.create_task(sample_memory(process, samples))
    rate = await soak.run(LOAD * capacity, 60 * minutes)
    sampler.cancel()
    hours, megabytes = zip(*samples[int(WARM_UP * len(samples)) :], strict=True)
    slope = statistics.linear_regression(hours, megabytes).slope
    bound = MAX_GROWTH / (hours[-1] - hours[0])
    failures = soak.failures
    if slope > bound:
        failures.append(f"memory grew by {slope:.1f} MB per hour, more than {bound:.1f}")
    seconds = sorted(soak.seconds)
    figures = {
        "minutes": minutes,
        "capacity, requests per second": capacity,
        "clients per second": rate,
        "clients": dict(soak.counts),
        "failed": len(failures),
        "good: p50, p99, seconds": [round(seconds[int(share * len(seconds))], 3) for share in (0.5, 0.99)],
        "memory, first and last, MB": [round(megabytes[0]), round(megabytes[-1])],
        "memory, MB per hour": slope,
        "bound, MB per hour": bound,
    }
    return figures, failures


def main() -> None:
    """Print one row, and what failed on standard error."""
    arguments = parser(__doc__)
    arguments.add_argument("--minutes", type=float, default=60)
    minutes = arguments.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with serving(log) as (url, process):
            figures, failures = asyncio.run(measure(url, process, minutes))
            httpx.get(f"{url}/readyz").raise_for_status()
        errors = [line for line in log.read_text(encoding="utf-8").splitlines() if '"level": "error"' in line]
    print_row(**figures)
    for failure in (*failures, *errors):
        print(failure, file=sys.stderr)
    sys.exit(bool(failures or errors))


if __name__ == "__main__":
    main()
