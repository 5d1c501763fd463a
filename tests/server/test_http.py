"""Monitors, proxies, caches and careful clients find what HTTP (RFC 9110, RFC 9112) promises them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import EXAMPLES
from serving import Server, images, serving
from starlette.testclient import TestClient

import looksay
from looksay.server.app import create_app
from looksay.server.settings import ServerSettings

CAPTIONS = "/v1/captions"
BOATS = EXAMPLES / "boats.jpg"
PATHS = ("/", "/docs", "/openapi.json", "/page/app.js", "/page/icon.svg", "/v1/models", "/healthz", "/readyz")
UPLOAD = b"POST /v1/captions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that a proxy serves under /captions."""
    arguments = ("--root-path", "/captions", "--allowed-host", "example.org", "--max-bytes", "400000")
    with serving(tmp_path_factory.mktemp("server"), *arguments) as running:
        yield running


@pytest.fixture(params=["server", "proxied"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    server: Server = request.getfixturevalue(request.param)
    with httpx.Client(base_url=server.url, timeout=60) as opened:
        yield opened


def exchange(server: Server, request: bytes) -> tuple[bytes, bool]:
    """Send raw bytes; return what the server sends within a second, and whether it then closed the connection."""
    response = b""
    with socket.create_connection(server.address, timeout=1) as connection:
        connection.sendall(request)
        try:
            while piece := connection.recv(65536):
                response += piece
        except TimeoutError:
            return response, False
    return response, True


@pytest.mark.parametrize("path", [*PATHS, "/nowhere", "/page/nowhere.js", CAPTIONS])
def test_head_has_the_headers_of_get_and_no_body(client: httpx.Client, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert get.status_code == head.status_code == {CAPTIONS: 405}.get(path, 404 if "nowhere" in path else 200)
    assert head.content == b""
    del get.headers["date"], head.headers["date"]
    assert head.headers == get.headers
    assert int(head.headers["Content-Length"]) == len(get.content)


def test_head_of_metrics(client: httpx.Client) -> None:
    response = client.head("/metrics")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("path", [*PATHS, "/metrics", CAPTIONS])
def test_the_allowed_methods_are_named(client: httpx.Client, path: str) -> None:
    expected = {"POST"} if path == CAPTIONS else {"GET", "HEAD"}
    refused, asked = client.put(path), client.options(path)
    assert (refused.status_code, asked.status_code) == (405, 204)
    assert set(refused.headers["Allow"].split(", ")) == set(asked.headers["Allow"].split(", ")) == expected
    assert refused.headers["Allow"] in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/docs", "/page/app.js", "/page/style.css"])
def test_an_unchanged_file_of_the_page_is_not_sent_again(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    assert first.headers["Cache-Control"] == "no-cache"  # may be kept, but not used unasked after an update
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/healthz").headers["Cache-Control"] == "no-store"


def test_any_accepted_type_is_answered_with_json(client: httpx.Client) -> None:
    response = client.post(CAPTIONS, files=images(BOATS), headers={"Accept": "text/html, application/xml;q=0.5"})
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["images"][0]["captions"]


@pytest.mark.parametrize("prefix", ["", "/captions"])
def test_under_a_root_path_pages_links_and_captions_work(proxied: Server, prefix: str) -> None:
    """Some proxies remove the path under which they serve, and others do not."""
    with httpx.Client(base_url=proxied.url + prefix, timeout=60) as client:
        assert client.post(CAPTIONS, files=images(BOATS)).json()["images"][0]["captions"]
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/captions"}]
        for page in ("/", "/docs"):
            text = client.get(page).text
            assert 'src="page/' in text  # relative, so under any path
            assert 'href="/' not in text
        headers = {"Host": "example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        assert client.get("/docs/", headers=headers).headers["Location"] == "https://example.org/captions/docs"
    assert httpx.get(f"{proxied.url}/captions").headers["Location"] == f"{proxied.url}/captions/"
    deadline = time.monotonic() + 5
    while '"client": "203.0.113.9"' not in proxied.log:  # the row of a request follows its response
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_root_path_of_the_asgi_server_is_respected() -> None:
    """`uvicorn --root-path` sets it, for those who run the application themselves."""
    app = create_app(looksay.load(), ServerSettings(allowed_hosts=("testserver",)))
    with TestClient(app, root_path="/captions") as client:
        assert client.get("/captions/healthz").status_code == 200
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/captions"}]


def test_headers_of_an_untrusted_proxy_are_ignored(tmp_path: Path) -> None:
    with serving(tmp_path, "--forwarded-allow-ips", "192.0.2.0/24") as server:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        response = httpx.get(f"{server.url}/docs/", headers=headers)
        assert response.headers["Location"] == f"{server.url}/docs"
        assert "203.0.113.9" not in server.log


def test_a_client_that_awaits_100_continue_is_asked_for_its_upload(proxied: Server) -> None:
    content = BOATS.read_bytes()
    head = UPLOAD + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(content)
    with socket.create_connection(proxied.address, timeout=20) as connection:
        connection.sendall(head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("headers", "status"), [
    (b"Content-Length: 999999\r\nExpect: 100-continue", b"413"),
    (b"Content-Length: 1000\r\nExpect: 100-Continue\r\nOrigin: http://evil.example", b"403"),
    (b"Content-Length: 1000\r\nExpect: a-miracle", b"417"),
], ids=["too large", "another origin", "unknown expectation"])  # fmt: skip
def test_an_upload_is_refused_before_it_is_sent(proxied: Server, headers: bytes, status: bytes) -> None:
    """The connection ends, because what follows could be the upload as well as another request."""
    response, is_closed = exchange(proxied, UPLOAD + headers + b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nconnection: close\r\n" in response.lower()
    assert b"100 Continue" not in response
    assert is_closed


def test_after_a_refused_upload_the_connection_serves_the_next_request(proxied: Server) -> None:
    head = UPLOAD + b"Content-Length: 500000\r\n\r\n"
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    response, is_closed = exchange(proxied, head + b"x" * 500_000 + health)
    assert response.startswith(b"HTTP/1.1 413")
    assert response.endswith(b'{"status":"ok"}')
    assert is_closed


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("body", [
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    b"Content-Length: -5\r\n\r\nabcde",
    b"Content-Length: five\r\n\r\nabcde",
    b"Transfer-Encoding: gzip\r\n\r\nabcde",
    CHUNKED + b"no length\r\n",
    CHUNKED + b"80000\r\n" + b"x" * 0x80000 + b"\r\nno length\r\n",
], ids=["two lengths", "negative", "a word", "unknown coding", "bad chunk", "bad chunk after a refusal"])  # fmt: skip
def test_a_malformed_upload_is_an_error_and_the_end_of_the_connection(proxied: Server, body: bytes) -> None:
    response, is_closed = exchange(proxied, UPLOAD + body)
    head, _, content = response.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
    assert json.loads(content)["detail"]
    assert is_closed
    assert "Traceback" not in proxied.log


def test_options_of_the_server_as_a_whole_and_a_path_without_routes(proxied: Server) -> None:
    for target in (b"*", b"//healthz", b"/%2e%2e/secret", b"/page/../app.py", b"http://localhost/nowhere"):
        response, _ = exchange(proxied, b"OPTIONS " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert response.startswith((b"HTTP/1.1 404", b"HTTP/1.1 204")), response


def test_the_same_content_length_twice_is_one(proxied: Server) -> None:
    response, _ = exchange(proxied, UPLOAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde")
    assert response.startswith(b"HTTP/1.1 422")


def test_too_many_connections_are_told_to_try_again(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-connections", "2") as server:
        open_connections = [socket.create_connection(server.address) for _ in range(3)]
        response = httpx.get(f"{server.url}/healthz")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.json()["detail"].startswith("the server is busy")
        for connection in open_connections:
            connection.close()
