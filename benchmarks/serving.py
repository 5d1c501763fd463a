"""The server at twice its capacity: what it answers, how long that takes, and whether its memory stays as it is.

``python benchmarks/serving.py [--seconds 120]`` starts ``looksay serve``, measures how many requests a second it
answers when clients wait for their answers (its capacity), and then sends twice as many, whether it keeps up or not.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx

PHOTOS = [photo.read_bytes() for photo in sorted((Path(__file__).parent.parent / "examples").glob("*.*g"))]
CLIENTS = 14  # that wait for each other's answers: all the server takes at once, nearly
PAGE = 4096  # bytes


class Answer(NamedTuple):
    """One request's status and seconds."""

    status: int
    seconds: float


async def ask(client: httpx.AsyncClient, photo: bytes) -> Answer:
    """Send a photo."""
    start = time.perf_counter()
    answer = await client.post("/v1/captions", content=photo, headers={"Content-Type": "image/jpeg"})
    return Answer(answer.status_code, time.perf_counter() - start)


async def capacity(client: httpx.AsyncClient, seconds: float) -> float:
    """Return the requests a second that are answered with captions."""
    photos, until = itertools.cycle(PHOTOS), time.perf_counter() + seconds

    async def wait_and_ask() -> int:
        served = 0
        while time.perf_counter() < until:
            served += (await ask(client, next(photos))).status == 200
        return served

    return sum(await asyncio.gather(*(wait_and_ask() for _ in range(CLIENTS)))) / seconds


async def flood(client: httpx.AsyncClient, rate: float, seconds: float) -> list[Answer]:
    """Send so many requests a second, without waiting for answers."""
    start, asked = time.perf_counter(), []
    for number, photo in zip(range(int(rate * seconds)), itertools.cycle(PHOTOS), strict=False):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        asked.append(asyncio.create_task(ask(client, photo)))
    return list(await asyncio.gather(*asked))


def memory(process: subprocess.Popen[str]) -> float:
    """Return the megabytes that a process holds."""
    return int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE / 1e6


async def measure(url: str, process: subprocess.Popen[str], seconds: float) -> dict[str, object]:
    """Flood the server, and say how it went."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await capacity(client, min(10, seconds))  # warms up
        most = await capacity(client, min(10, seconds))
        held = [memory(process)]
        answers: list[Answer] = []
        for _ in range(4):
            answers += await flood(client, 2 * most, seconds / 4)
            held.append(memory(process))
    served = sorted(answer.seconds for answer in answers if answer.status == 200)
    refused = [answer.seconds for answer in answers if answer.status == 503]
    return {
        "capacity, requests a second": round(most, 1),
        "sent a second": round(2 * most, 1),
        "seconds": seconds,
        "answers": dict(sorted(Counter(answer.status for answer in answers).items())),
        "served: p50, p99, seconds": [round(served[len(served) // 2], 3), round(served[int(0.99 * len(served))], 3)],
        "refused: p50, seconds": round(statistics.median(refused), 3) if refused else None,
        "memory before, and after each quarter, MB": [round(each) for each in held],
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "looksay", "serve", "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr  # noqa: S101
        found = re.search(r"http://\S+:\d+", process.stderr.readline())
        url = found[0] if found else ""
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            client.get(f"{url}/readyz").raise_for_status()
        ready = time.perf_counter() - started
        drain = asyncio.to_thread(process.stderr.read)  # a full pipe would stop the server

        async def go() -> dict[str, object]:
            reading = asyncio.create_task(drain)
            try:
                return {"ready, seconds": round(ready, 2)} | await measure(url, process, arguments.seconds)
            finally:
                process.terminate()
                await reading

        print(json.dumps(asyncio.run(go())))


if __name__ == "__main__":
    main()
