"""Batches: their steps are measured for each request, and a thread that hangs or fails is noticed."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from conftest import EXAMPLES
from serving import Server, images
from starlette.testclient import TestClient

import looksay
from looksay.captioner import Captioner, Prepared
from looksay.decoding.state import DecoderState
from looksay.server.app import create_app
from looksay.server.settings import ServerSettings

CAPTIONS = "/v1/captions"
BOATS = EXAMPLES / "boats.jpg"
JPEG: dict[str, Any] = {"content": BOATS.read_bytes(), "headers": {"Content-Type": "image/jpeg"}}


class Unreliable(Captioner):
    """A captioner whose thread can hang or be ended."""

    def __init__(self) -> None:
        super().__init__(looksay.load().bundle)
        self.may_go_on = threading.Event()
        self.error: type[BaseException] | None = None

    def encode(self, prepared: Sequence[Prepared]) -> DecoderState:
        self.may_go_on.wait()
        if self.error:
            raise self.error
        return super().encode(prepared)


@pytest.fixture
def captioner() -> Iterator[Unreliable]:
    captioner = Unreliable()
    yield captioner
    captioner.may_go_on.set()


def test_a_server_whose_captioning_thread_hangs_is_not_ready(captioner: Unreliable) -> None:
    with TestClient(create_app(captioner, ServerSettings(timeout=0.5)), "http://localhost") as client:
        assert client.get("/readyz").status_code == 200
        assert client.post(CAPTIONS, **JPEG).status_code == 504
        wait_for(client, 503)
        assert client.head("/readyz").status_code == 503
        assert client.get("/readyz").json() == {"status": "not ready"}
        assert client.get("/healthz").status_code == 200
        captioner.may_go_on.set()
        wait_for(client, 200)
        assert client.post(CAPTIONS, **JPEG).status_code == 200


def wait_for(client: TestClient, status: int) -> None:
    deadline = time.monotonic() + 20
    while client.get("/readyz").status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("error", [MemoryError, SystemExit])
def test_a_failed_batch_is_an_error_of_its_requests_alone(captioner: Unreliable, error: type[BaseException]) -> None:
    captioner.may_go_on.set()
    captioner.error = error
    with TestClient(create_app(captioner), "http://localhost", raise_server_exceptions=False) as client:
        assert client.post(CAPTIONS, **JPEG).status_code == 500
        captioner.error = None
        assert client.get("/readyz").status_code == 200
        assert client.post(CAPTIONS, **JPEG).status_code == 200


def durations(response: httpx.Response) -> dict[str, float]:
    """Return the milliseconds of each step in a Server-Timing header."""
    header = response.headers["Server-Timing"]
    assert re.fullmatch(r"\w+;dur=\d+\.\d(, \w+;dur=\d+\.\d)*", header)
    return {name: float(dur) for name, dur in re.findall(r"(\w+);dur=([\d.]+)", header)}


def test_the_time_of_each_step_is_sent_and_they_add_up(server: Server) -> None:
    url = f"{server.url}{CAPTIONS}"
    for files in (images(BOATS), images(*[BOATS] * 20), images(BOATS, ("x.jpg", b"no image"))):
        response = httpx.post(url, files=files, params={"num_beams": 8}, timeout=60)
        steps = durations(response)
        assert list(steps) == ["queue", "read", "encode", "decode"]
        assert min(steps["read"], steps["encode"], steps["decode"]) > 0
        assert sum(steps.values()) <= 1000 * response.json()["seconds"] + 1
        assert sum(steps.values()) == pytest.approx(
            1000 * max(i.get("seconds", 0) for i in response.json()["images"]), abs=1
        )
    assert list(durations(httpx.post(url, files=images(("x.jpg", b"no image"))))) == ["read"]


def test_requests_of_one_batch_have_its_time_and_their_own_wait(server: Server) -> None:
    url = f"{server.url}{CAPTIONS}"

    def request(_: int) -> tuple[dict[str, float], float]:
        start = time.perf_counter()
        response = httpx.post(url, files=images(BOATS), params={"num_beams": 10}, timeout=60)
        return durations(response), 1000 * (time.perf_counter() - start)

    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(request, range(12)))
    assert all(sum(steps.values()) <= elapsed for steps, elapsed in outcomes)
    batches = {(steps["encode"], steps["decode"]) for steps, _ in outcomes}
    assert 1 <= len(batches) < 12
    assert max(steps["queue"] for steps, _ in outcomes) > min(steps["encode"] for steps, _ in outcomes)
