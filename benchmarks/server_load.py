"""The server at twice its capacity: status codes, response times and memory.

``python benchmarks/server_load.py [--seconds 120]`` starts ``looksay serve``, measures its capacity (the requests per
second that it serves to clients that wait for each response), and then sends twice as many without waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
from timing import EXAMPLES, parser, print_row

PHOTOS = [photo.read_bytes() for photo in sorted(EXAMPLES.glob("*.*g"))]
CLIENTS = 14  # waiting clients: almost as many requests as the server accepts at once
PAGE = 4096  # bytes


class Response(NamedTuple):
    """The status and the seconds of a request."""

    status: int
    seconds: float


async def send(client: httpx.AsyncClient, photo: bytes) -> Response:
    """Request the caption of a photo."""
    start = time.perf_counter()
    response = await client.post("/v1/captions", content=photo, headers={"Content-Type": "image/jpeg"})
    return Response(response.status_code, time.perf_counter() - start)


async def measure_capacity(client: httpx.AsyncClient, seconds: float) -> float:
    """Return the requests per second that are served to `CLIENTS` waiting clients."""
    photos, end = itertools.cycle(PHOTOS), time.perf_counter() + seconds

    async def send_and_wait() -> int:
        served = 0
        while time.perf_counter() < end:
            served += (await send(client, next(photos))).status == 200
        return served

    return sum(await asyncio.gather(*(send_and_wait() for _ in range(CLIENTS)))) / seconds


async def send_at_rate(client: httpx.AsyncClient, rate: float, seconds: float) -> list[Response]:
    """Send `rate` requests per second without waiting for responses."""
    start, tasks = time.perf_counter(), []
    for number, photo in zip(range(int(rate * seconds)), itertools.cycle(PHOTOS), strict=False):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(send(client, photo)))
    return list(await asyncio.gather(*tasks))


def memory(process: subprocess.Popen[bytes]) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE / 1e6


@contextlib.contextmanager
def serving(log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start ``looksay serve`` with its standard error in a file; yield its URL and process once it is ready."""
    command = [sys.executable, "-m", "looksay", "serve", "--port", "0"]
    with log.open("wb") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            while not (match := re.search(r"http://\S+:\d+", log.read_text(encoding="utf-8"))):
                if process.poll() is not None:
                    raise SystemExit(log.read_text(encoding="utf-8"))
                time.sleep(0.01)
            with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
                client.get(f"{match[0]}/readyz").raise_for_status()
            yield match[0], process
        finally:
            process.terminate()


async def measure(url: str, process: subprocess.Popen[bytes], seconds: float) -> dict[str, object]:
    """Measure the capacity, overload the server, and return the results."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await measure_capacity(client, min(10, seconds))  # warm-up
        capacity = await measure_capacity(client, min(10, seconds))
        megabytes = [round(memory(process))]
        responses: list[Response] = []
        for _ in range(4):
            responses += await send_at_rate(client, 2 * capacity, seconds / 4)
            megabytes.append(round(memory(process)))
    served = sorted(response.seconds for response in responses if response.status == 200)
    rejected = [response.seconds for response in responses if response.status == 503]
    return {
        "capacity, requests per second": round(capacity, 1),
        "sent per second": round(2 * capacity, 1),
        "seconds": seconds,
        "responses by status": dict(sorted(Counter(response.status for response in responses).items())),
        "served: p50, p99, seconds": [round(served[len(served) // 2], 3), round(served[int(0.99 * len(served))], 3)],
        "rejected: p50, seconds": round(statistics.median(rejected), 3) if rejected else None,
        "memory before, and after each quarter, MB": megabytes,
    }


def main() -> None:
    """Print one row."""
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=120)
    seconds = arguments.parse_args().seconds
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "server.log") as (url, process):
        ready = time.perf_counter() - start
        print_row(**{"ready, seconds": round(ready, 2)} | asyncio.run(measure(url, process, seconds)))


if __name__ == "__main__":
    main()
