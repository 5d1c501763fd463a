"""Whatever a client sends, the server answers, and goes on serving the others."""

from __future__ import annotations

import io
import re
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from conftest import EXAMPLES
from PIL import Image
from serving import Server, images, serving
from starlette.testclient import TestClient

import looksay
from looksay.captioner import Captioner
from looksay.server import app

CAPTIONS = "/v1/captions"
BOATS = EXAMPLES / "boats.jpg"
LIMIT = 400_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = ("--max-bytes", str(LIMIT), "--max-images", "4", "--timeout", "3", "--max-requests", "2")
    with serving(tmp_path_factory.mktemp("server"), *limits) as running:
        yield running


@pytest.fixture(autouse=True)
def _it_goes_on(server: Server) -> Iterator[None]:
    yield
    answer = httpx.post(f"{server.url}{CAPTIONS}", files=images(BOATS), timeout=30)
    assert answer.status_code == 200, answer.text
    assert "Traceback" not in server.log


def ask(server: Server, **request: object) -> httpx.Response:
    return httpx.post(f"{server.url}{CAPTIONS}", timeout=30, **request)  # type: ignore[arg-type]


def talk(server: Server, request: bytes) -> bytes:
    """Send bytes as they are; return what comes till the server hangs up, or the first piece that is an answer."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection, suppress(ConnectionError):
        connection.sendall(request)
        return connection.recv(65536)
    return b""


def bomb(width: int, height: int) -> bytes:
    """A small PNG file of so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\x00\x00\x00\x00"
    squeezed = zlib.compressobj(9)
    row = b"\x00" * (1 + (width + 7) // 8)
    rows = b"".join(squeezed.compress(row) for _ in range(height)) + squeezed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("content", "problem"), [
    (BOATS.read_bytes()[:20_000], "truncated"),
    (b"", "not an image"),
    (b"GIF89a/*<script>alert(1)</script>*/=1;", "not an image"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    (b"\x89PNG\r\n\x1a\n" + b"\x00" * 100, "not an image"),
], ids=["truncated", "empty", "polyglot", "svg", "postscript", "png without a header"])  # fmt: skip
def test_what_is_no_image_is_told_beside_the_others(server: Server, content: bytes, problem: str) -> None:
    answer = ask(server, files=images(("x.jpg", content), BOATS))
    assert answer.status_code == 200
    bad, good = answer.json()["images"]
    assert problem in bad["error"]
    assert good["captions"]


def test_a_bomb_is_refused_before_it_is_decoded(server: Server) -> None:
    before = server.memory()
    start = time.perf_counter()
    answer = ask(server, files=images(("bomb.png", bomb(10_000, 10_000))))
    assert time.perf_counter() - start < 2
    assert answer.status_code == 422
    assert "10000 × 10000 pixels, more than 50,000,000" in answer.json()["images"][0]["error"]
    assert server.memory() < before + 60_000_000  # decoded, it has 100 million bytes at least


def test_a_jpeg_of_a_thousand_scans_is_refused(server: Server) -> None:
    """Each scan takes as long as decoding the image anew, and fits into some bytes."""
    with Image.open(BOATS) as photo:
        memory = io.BytesIO()
        photo.resize((64, 64)).save(memory, "JPEG", progressive=True)
    content = memory.getvalue()
    assert 5 < content.count(b"\xff\xda") < 20
    scan = content[content.rindex(b"\xff\xda") : -2]
    answer = ask(server, files=images(("slow.jpg", content[:-2] + scan * 300 + content[-2:]), ("fine.jpg", content)))
    slow, fine = answer.json()["images"]
    assert "scans takes too long" in slow["error"]
    assert fine["captions"]


@pytest.mark.parametrize("mode", ["F", "I;16", "RGBA", "LA"])
def test_a_large_image_of_any_kind_takes_no_more_memory_than_it_must(tmp_path: Path, mode: str) -> None:
    content = io.BytesIO()
    Image.new(mode, (5000, 5000)).save(content, "TIFF", compression="tiff_adobe_deflate")
    with serving(tmp_path, "--threads", "1") as fresh:
        ask(fresh, files=images(BOATS))
        before = fresh.most_memory()
        answer = ask(fresh, files=images(("large.tif", content.getvalue())))
        assert answer.status_code == 200
        assert fresh.most_memory() < before + 16 * 5000 * 5000  # bytes


def test_a_client_that_does_not_listen_is_hung_up_on(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    request = b"GET /page/card.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request * 1500)  # what it is sent for these fills every buffer on the way
        time.sleep(14)
        with pytest.raises(ConnectionError):
            connection.sendall(request * 100_000)


def test_a_form_in_a_made_up_alphabet_is_read_all_the_same(server: Server) -> None:
    for charset in ("undefined", "punycode", "utf-7"):
        body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.+2AA-"\r\n\r\n'
        answer = ask(
            server, content=body + BOATS.read_bytes() + b"\r\n--x--\r\n",
            headers={"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text


def test_dimensions_that_cannot_be_are_refused(server: Server) -> None:
    answer = ask(server, files=images(("huge.png", bomb(1, 1)[:16] + b"\x7f\xff\xff\xff" * 2 + bomb(1, 1)[24:])))
    assert answer.status_code == 422
    assert answer.json()["images"][0]["error"]


def test_too_many_bytes_are_refused_by_their_announcement_and_by_their_number(server: Server) -> None:
    headers = {"Content-Type": "image/jpeg"}
    announced = ask(server, content=b"x" * (LIMIT + 1), headers=headers)
    assert announced.status_code == 413
    assert f"{LIMIT:,} bytes" in announced.json()["detail"]

    def unannounced() -> Iterator[bytes]:
        for _ in range(LIMIT // 1000 + 2):
            yield b"x" * 1000

    counted = ask(server, content=unannounced(), headers=headers)
    assert counted.status_code == 413


def test_too_many_images_or_parts_are_refused(server: Server) -> None:
    assert ask(server, files=images(*[("x.jpg", b"x")] * 5)).status_code == 413
    assert ask(server, files=images(*[("x", b"")] * 10_000)).status_code == 413


def test_options_in_the_form_are_told_where_they_belong(server: Server) -> None:
    answer = ask(server, data={"num_beams": "5"}, files=images(BOATS))
    assert answer.status_code == 400
    assert "options go into the address" in answer.json()["detail"]


@pytest.mark.parametrize(("request_", "status"), [
    ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ({"content": b"nonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ({"content": b"--x--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ({"content": b"", "headers": {"Content-Type": "image/png"}}, 400),
    ({"json": {"image": "https://example.org/x.jpg"}}, 415),
    ({"data": {"url": "https://example.org/x.jpg"}}, 415),
], ids=["no boundary", "no form", "no file", "no body", "json", "a url"])  # fmt: skip
def test_what_is_no_upload_is_refused(server: Server, request_: dict[str, object], status: int) -> None:
    answer = ask(server, **request_)
    assert answer.status_code == status, answer.text
    assert isinstance(answer.json()["detail"], str)


def test_headers_without_end_are_refused(server: Server) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    many = b"".join(b"X-%d: y\r\n" % n for n in range(20_000))
    for headers in (b"X: " + b"y" * 200_000, many):
        answer = talk(server, start + headers)
        assert not answer or answer.startswith(b"HTTP/1.1 400")  # it may hang up before all is sent
    assert talk(server, b"\x00\x01\x02 nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    length = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e9\r\n\r\n"
    assert talk(server, length).startswith(b"HTTP/1.1 400")


def test_a_slow_upload_is_ended(server: Server) -> None:
    start = time.perf_counter()
    head = b"POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n"
    answer = talk(server, head + b"slow")
    assert answer.startswith(b"HTTP/1.1 408")
    assert 2 < time.perf_counter() - start < 10


def test_a_client_that_says_nothing_is_hung_up_on(server: Server) -> None:
    start = time.perf_counter()
    assert talk(server, b"POST /v1/capt") == b""
    assert time.perf_counter() - start < 15


def test_clients_that_go_away_free_their_places(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = b"POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n"
    for _ in range(6):  # three times as many as there are places
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head + b"half")
    deadline = time.monotonic() + 2.5  # sooner than the time limit would free them
    while ask(server, files=images(BOATS)).status_code == 503:
        assert time.monotonic() < deadline


def test_images_of_a_client_that_goes_away_are_not_captioned(tmp_path: Path) -> None:
    with serving(tmp_path, "--threads", "1", "--batch", "1") as slow, httpx.Client(base_url=slow.url) as client:
        many = images(*[BOATS] * 32)
        with suppress(httpx.TimeoutException):
            httpx.post(
                f"{slow.url}{CAPTIONS}", files=many, params={"num_beams": 10}, timeout=httpx.Timeout(30, read=0.5)
            )
        deadline = time.monotonic() + 5
        while "looksay_queue_images 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
        done = re.search(r'looksay_images_total{outcome="captioned"} (\S+)', client.get("/metrics").text)
        assert not done or float(done[1]) < 32


def test_captioning_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with serving(tmp_path, "--threads", "1", "--timeout", "0.3") as slow:
        answer = httpx.post(f"{slow.url}{CAPTIONS}", files=images(*[BOATS] * 32), params={"num_beams": 10}, timeout=30)
    assert answer.status_code == 504
    assert "not captioned within 0.3 seconds" in answer.json()["detail"]


def test_a_mistake_of_the_server_is_told_without_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Captioner):
        def say(self, *_: object, **__: object) -> list[list[looksay.Caption]]:
            raise RuntimeError("secret path /home/someone")

    broken = app.create(Broken(looksay.load().bundle))
    with TestClient(broken, "http://localhost", raise_server_exceptions=False) as client:
        answer = client.post(CAPTIONS, content=BOATS.read_bytes(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret path" in caplog.text
    assert answer.json()["detail"].startswith("the server made a mistake")
