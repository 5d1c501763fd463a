"""Whatever a client sends, the server responds and continues to serve others."""

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
from looksay.decoding.state import DecoderState
from looksay.server.app import create_app

CAPTIONS = "/v1/captions"
BOATS = EXAMPLES / "boats.jpg"
LIMIT = 400_000
IDLE_TIMEOUT = 1


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = ("--max-bytes", str(LIMIT), "--max-images", "4", "--timeout", "3", "--max-requests", "2")
    with serving(tmp_path_factory.mktemp("server"), *limits, "--idle-timeout", str(IDLE_TIMEOUT)) as running:
        yield running


@pytest.fixture(autouse=True)
def _server_still_works(strict_server: Server) -> Iterator[None]:
    yield
    response = post(strict_server, files=images(BOATS))
    assert response.status_code == 200, response.text
    assert "Traceback" not in strict_server.log


def post(server: Server, **request: object) -> httpx.Response:
    return httpx.post(f"{server.url}{CAPTIONS}", timeout=30, **request)  # type: ignore[arg-type]


def send(server: Server, request: bytes) -> bytes:
    """Send raw bytes; return the first piece of the response, or nothing if the server closes the connection."""
    with socket.create_connection(server.address, timeout=20) as connection, suppress(ConnectionError):
        connection.sendall(request)
        return connection.recv(65536)
    return b""


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG file of a huge image."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\x00\x00\x00\x00"
    compressor = zlib.compressobj(9)
    row = b"\x00" * (1 + (width + 7) // 8)
    rows = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("content", "problem"), [
    (BOATS.read_bytes()[:10_000], "truncated"),
    (b"", "not an image"),
    (b"GIF89a/*<script>alert(1)</script>*/=1;", "not an image"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    (b"\x89PNG\r\n\x1a\n" + b"\x00" * 100, "not an image"),
], ids=["truncated", "empty", "polyglot", "svg", "postscript", "png without a header"])  # fmt: skip
def test_a_file_that_is_not_an_image_has_an_error_and_the_others_captions(
    strict_server: Server, content: bytes, problem: str
) -> None:
    response = post(strict_server, files=images(("x.jpg", content), BOATS))
    assert response.status_code == 200
    bad, good = response.json()["images"]
    assert problem in bad["error"]
    assert good["captions"]


def test_a_bomb_is_refused_before_it_is_decoded(strict_server: Server) -> None:
    before = strict_server.reset_peak_memory()
    start = time.perf_counter()
    response = post(strict_server, files=images(("bomb.png", bomb(10_000, 10_000))))
    assert time.perf_counter() - start < 2
    assert response.status_code == 422
    assert "10000 × 10000 pixels are more than 50,000,000" in response.json()["images"][0]["error"]
    assert strict_server.peak_memory() < before + 60_000_000  # decoded, it has at least 100 million bytes


def test_a_jpeg_of_a_thousand_scans_is_refused(strict_server: Server) -> None:
    """Each scan has a few bytes and takes as long as decoding the whole image."""
    with Image.open(BOATS) as photo:
        memory = io.BytesIO()
        photo.resize((64, 64)).save(memory, "JPEG", progressive=True)
    content = memory.getvalue()
    assert 5 < content.count(b"\xff\xda") < 20
    scan = content[content.rindex(b"\xff\xda") : -2]
    response = post(
        strict_server, files=images(("slow.jpg", content[:-2] + scan * 300 + content[-2:]), ("fine.jpg", content))
    )
    slow, fine = response.json()["images"]
    assert "more than 200 scans" in slow["error"]
    assert fine["captions"]


@pytest.mark.parametrize("mode", ["F", "I;16", "RGBA", "LA"])
def test_memory_is_bounded_for_a_large_image_of_any_mode(server: Server, mode: str) -> None:
    content = io.BytesIO()
    Image.new(mode, (5000, 5000)).save(content, "TIFF", compression="tiff_adobe_deflate")
    post(server, files=images(BOATS))
    before = server.reset_peak_memory()
    assert post(server, files=images(("large.tif", content.getvalue()))).status_code == 200
    assert server.peak_memory() < before + 16 * 5000 * 5000  # bytes


def test_a_client_that_reads_no_response_is_disconnected(strict_server: Server) -> None:
    def request_forever(connection: socket.socket) -> None:
        while True:  # the responses fill every buffer between server and client
            connection.sendall(b"GET /page/card.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)

    connection = socket.create_connection(strict_server.address, timeout=IDLE_TIMEOUT + 5)
    with connection, pytest.raises(ConnectionError):
        request_forever(connection)


def test_the_charset_of_a_form_is_ignored(strict_server: Server) -> None:
    for charset in ("undefined", "punycode", "utf-7"):
        body = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.+2AA-"\r\n\r\n'
        response = post(
            strict_server, content=body + BOATS.read_bytes() + b"\r\n--x--\r\n",
            headers={"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"},
        )  # fmt: skip
        assert response.status_code == 200, response.text


def test_impossible_dimensions_are_refused(strict_server: Server) -> None:
    response = post(
        strict_server, files=images(("huge.png", bomb(1, 1)[:16] + b"\x7f\xff\xff\xff" * 2 + bomb(1, 1)[24:]))
    )
    assert response.status_code == 422
    assert response.json()["images"][0]["error"]


def test_too_many_bytes_are_refused_with_and_without_a_content_length(strict_server: Server) -> None:
    headers = {"Content-Type": "image/jpeg"}
    declared = post(strict_server, content=b"x" * (LIMIT + 1), headers=headers)
    assert declared.status_code == 413
    assert f"{LIMIT:,} bytes" in declared.json()["detail"]

    def chunks() -> Iterator[bytes]:
        for _ in range(LIMIT // 1000 + 2):
            yield b"x" * 1000

    counted = post(strict_server, content=chunks(), headers=headers)
    assert counted.status_code == 413


def test_too_many_images_or_parts_are_refused(strict_server: Server) -> None:
    assert post(strict_server, files=images(*[("x.jpg", b"x")] * 5)).status_code == 413
    assert post(strict_server, files=images(*[("x", b"")] * 10_000)).status_code == 413


def test_the_error_for_options_in_the_form_shows_the_url(strict_server: Server) -> None:
    response = post(strict_server, data={"num_beams": "5"}, files=images(BOATS))
    assert response.status_code == 400
    assert "put options into the URL" in response.json()["detail"]


PART = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
CUT_OFF = PART + BOATS.read_bytes() + b"\r\n" + PART + BOATS.read_bytes()[:5000]


@pytest.mark.parametrize(("upload", "status"), [
    ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ({"content": b"nonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ({"content": CUT_OFF, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ({"content": b"--x--\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ({"content": b"", "headers": {"Content-Type": "image/png"}}, 400),
    ({"json": {"image": "https://example.org/x.jpg"}}, 415),
    ({"data": {"url": "https://example.org/x.jpg"}}, 415),
], ids=["no boundary", "no form", "cut off", "no file", "no body", "json", "a url"])  # fmt: skip
def test_a_request_without_an_upload_is_refused(strict_server: Server, upload: dict[str, object], status: int) -> None:
    response = post(strict_server, **upload)
    assert response.status_code == status, response.text
    assert isinstance(response.json()["detail"], str)


def test_oversized_and_malformed_headers_are_refused(strict_server: Server) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    many = b"".join(b"X-%d: y\r\n" % n for n in range(20_000))
    for headers in (b"X: " + b"y" * 200_000, many):
        response = send(strict_server, start + headers)
        assert not response or response.startswith(b"HTTP/1.1 400")  # the server may close the connection first
    assert send(strict_server, b"\x00\x01\x02 nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    length = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e9\r\n\r\n"
    assert send(strict_server, length).startswith(b"HTTP/1.1 400")


def test_a_slow_upload_is_stopped(strict_server: Server) -> None:
    start = time.perf_counter()
    head = b"POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n"
    response = send(strict_server, head + b"slow")
    assert response.startswith(b"HTTP/1.1 408")
    assert 2 < time.perf_counter() - start < 10


def test_a_client_that_sends_no_complete_request_is_disconnected(strict_server: Server) -> None:
    start = time.perf_counter()
    with socket.create_connection(strict_server.address, timeout=20) as connection, suppress(ConnectionError):
        for _ in range(100):  # a byte now and then must not extend the time
            connection.sendall(b"G")
            time.sleep(0.1)
    assert IDLE_TIMEOUT / 2 < time.perf_counter() - start < IDLE_TIMEOUT + 4


def test_disconnected_clients_do_not_count_as_requests(strict_server: Server) -> None:
    head = b"POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n"
    for _ in range(6):  # three times --max-requests
        with socket.create_connection(strict_server.address) as connection:
            connection.sendall(head + b"half")
    deadline = time.monotonic() + 2.5  # before --timeout would end them
    while post(strict_server, files=images(BOATS)).status_code == 503:
        assert time.monotonic() < deadline


def test_images_of_a_disconnected_client_are_not_captioned(tmp_path: Path) -> None:
    with serving(tmp_path, "--threads", "1", "--batch", "1") as slow, httpx.Client(base_url=slow.url) as client:
        many = images(*[BOATS] * 32)
        with suppress(httpx.TimeoutException):
            httpx.post(
                f"{slow.url}{CAPTIONS}", files=many, params={"num_beams": 10}, timeout=httpx.Timeout(30, read=0.5)
            )
        deadline = time.monotonic() + 5
        while "looksay_queue_images 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
        captioned = re.search(r'looksay_images_total{outcome="captioned"} (\S+)', client.get("/metrics").text)
        assert not captioned or float(captioned[1]) < 32


def test_captioning_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with serving(tmp_path, "--threads", "1", "--timeout", "0.3") as slow:
        response = httpx.post(
            f"{slow.url}{CAPTIONS}", files=images(*[BOATS] * 32), params={"num_beams": 10}, timeout=30
        )
        assert "Traceback" not in slow.log
    assert response.status_code == 504
    assert "not captioned within 0.3 seconds" in response.json()["detail"]


def test_an_internal_error_hides_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Captioner):
        def encode(self, prepared: object) -> DecoderState:
            raise RuntimeError("secret path /home/someone")

    broken = create_app(Broken(looksay.load().bundle))
    with TestClient(broken, "http://localhost", raise_server_exceptions=False) as client:
        response = client.post(CAPTIONS, content=BOATS.read_bytes(), headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert "secret path" in caplog.text
    assert response.json()["detail"].startswith("internal server error")
