"""The HTTP API returns the captions of the library, and one clear error when a request is wrong."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from conftest import EXAMPLES, PHOTOS
from serving import Server, images, serving

import looksay
from looksay.cli.main import main

CAPTIONS = "/v1/captions"
BOATS = EXAMPLES / "boats.jpg"


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as opened:
        yield opened


def metric(client: httpx.Client, name: str) -> float:
    """Return the value of a metric; its labels belong to the name."""
    match = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(match[1]) if match else 0.0


def test_captions_are_those_of_the_library_and_a_broken_image_spoils_none(client: httpx.Client) -> None:
    files = images(*(EXAMPLES / photo for photo in PHOTOS), ("broken.jpg", b"\xff\xd8 not an image"))
    response = client.post(CAPTIONS, files=files, params={"num_captions": 2, "num_beams": 4}).raise_for_status().json()
    captioner = looksay.load()
    assert response["model"] == captioner.name
    *results, broken = response["images"]
    assert [result["name"] for result in results] == list(PHOTOS)
    expected = captioner.outcomes([EXAMPLES / photo for photo in PHOTOS], num_captions=2, num_beams=4)
    for result, captions in zip(results, expected, strict=True):
        assert isinstance(captions, list)
        assert [caption["text"] for caption in result["captions"]] == [str(caption) for caption in captions]
        log_probs = [caption.log_prob for caption in captions]
        assert [caption["log_prob"] for caption in result["captions"]] == pytest.approx(log_probs, abs=0.01)
        assert result["captions"][0]["tokens"] == list(captions[0].tokens)
        assert [tag["name"] for tag in result["captions"][0]["tags"]] == [tag.name for tag in captions[0].tags]
        assert "attention" not in result["captions"][0]
    boats = results[PHOTOS.index("boats.jpg")]
    assert (boats["width"], boats["height"]) == (640, 512)
    assert broken["name"] == "broken.jpg"
    assert "not an image" in broken["error"]


def test_an_image_can_be_the_request_body(client: httpx.Client) -> None:
    for kind in ("image/jpeg", "application/octet-stream", ""):
        response = client.post(CAPTIONS, content=BOATS.read_bytes(), headers={"Content-Type": kind}).raise_for_status()
        (result,) = response.json()["images"]
        assert result["captions"][0]["text"] == looksay.caption(BOATS)


def test_options_work_as_in_the_library(client: httpx.Client) -> None:
    def caption(**options: Any) -> dict[str, Any]:
        response = client.post(CAPTIONS, files=images(BOATS), params=options).raise_for_status()
        first: dict[str, Any] = response.json()["images"][0]["captions"][0]
        return first

    assert caption(prefix="two men")["text"].startswith("two men ")
    assert len(caption(max_length=4)["tokens"]) <= 4
    assert not {"boat", "boats"} & set(caption(bad_words=["boat", "boats"])["tokens"])
    assert caption(num_beams=4, num_beam_groups=2)["text"] == looksay.caption(BOATS, num_beams=4, num_beam_groups=2)
    assert len({caption(temperature=1.5)["text"] for _ in range(4)}) > 1
    assert len({caption(temperature=1.5, seed=7)["text"] for _ in range(3)}) == 1
    with_maps = caption(attention=True)
    assert len(with_maps["attention"]) == len(with_maps["tokens"])
    assert sum(map(sum, with_maps["attention"][0])) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("options", "problem"), [
    ({"num_beams": 0}, "num_beams '0': Input should be greater than or equal to 1"),
    ({"num_beams": "many"}, "num_beams 'many': Input should be a valid integer"),
    ({"force_words": ["boat", "x" * 41]}, "force_words"),
    ({"num_beam_groups": 2, "num_beams": 3}, "num_beam_groups 2 does not divide num_beams 3"),
    ({"prefix": "xylophones"}, "xylophones"),
    ({"bream": 3}, "there is no option bream: use attention, "),
])  # fmt: skip
def test_an_invalid_option_is_named(client: httpx.Client, options: dict[str, Any], problem: str) -> None:
    response = client.post(CAPTIONS, files=images(BOATS), params=options)
    assert response.status_code == 422
    assert problem in response.json()["detail"]


def test_every_error_has_one_sentence_of_detail(client: httpx.Client) -> None:
    responses = [
        client.get("/nowhere"),
        client.get(CAPTIONS),
        client.post(CAPTIONS),
        client.post(CAPTIONS, params={"num_beams": 0, "seed": -1}, files=images(BOATS)),
        client.post(CAPTIONS, json={}),
        client.get("/healthz", headers={"Host": "example.org"}),
        client.post(CAPTIONS, headers={"Origin": "http://example.org"}),
    ]
    assert [response.status_code for response in responses] == [404, 405, 400, 422, 415, 421, 403]
    assert all(isinstance(response.json()["detail"], str) for response in responses)


def test_a_request_without_a_readable_image_fails(client: httpx.Client) -> None:
    response = client.post(CAPTIONS, files=images(("empty.jpg", b""), ("text.png", b"words")))
    assert response.status_code == 422
    assert [set(result) for result in response.json()["images"]] == [{"name", "captions", "error"}] * 2


def test_the_model_is_described(client: httpx.Client) -> None:
    description = client.get("/v1/models").raise_for_status().json()
    (model,) = description["models"]
    bundle = looksay.load().bundle
    assert model["name"] == bundle.spec.name
    assert model["grid"] == [8, 8]
    assert model["image_size"] == bundle.spec.image.size
    assert model["vocabulary_size"] == len(bundle.vocabulary)
    assert model["decoding"]["num_beams"] == bundle.spec.decoding.num_beams
    assert description["limits"] == {"max_bytes": 32_000_000, "max_pixels": 50_000_000, "max_images": 32}


def test_health_and_metrics(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    before = metric(client, 'looksay_images_total{outcome="captioned"}')
    client.post(CAPTIONS, files=images(BOATS, BOATS)).raise_for_status()
    assert metric(client, 'looksay_images_total{outcome="captioned"}') == before + 2
    assert metric(client, "looksay_images_per_second") > 0
    assert metric(client, "looksay_queue_images") == 0
    assert metric(client, 'looksay_requests_total{method="POST",path="/v1/captions",status="200"}') > 0
    assert metric(client, "looksay_request_seconds_count") > 0
    client.request("MADE-UP", "/made/up")
    assert "made/up" not in client.get("/metrics").text.lower()
    assert "made-up" not in client.get("/metrics").text.lower()


def test_the_openapi_description_has_every_route(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").raise_for_status().json()["paths"]
    chat = {"/v1/chat/completions", "/api/generate", "/api/chat", "/api/tags", "/api/version"}
    assert set(paths) == {"/v1/captions", "/v1/models", "/healthz", "/readyz", "/metrics", *chat}
    post = paths["/v1/captions"]["post"]
    assert set(post["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    parameters = {parameter["name"]: parameter["schema"] for parameter in post["parameters"]}
    assert {"num_beams", "num_beam_groups", "force_words", "temperature", "prefix", "attention"} <= set(parameters)
    assert parameters["num_beams"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 10}


@pytest.mark.parametrize("path", ["/", "/docs", "/page/app.js", "/healthz", "/nowhere", CAPTIONS])
def test_every_response_has_the_security_headers(client: httpx.Client, path: str) -> None:
    response = client.get(path, headers={"Origin": "https://example.org"})
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Server" not in response.headers


def test_the_page_names_no_other_host(client: httpx.Client) -> None:
    files = ("app.js", "api.js", "card.js", "files.js", "docs.js", "style.css")
    for path in ("/", "/docs", *(f"/page/{file}" for file in files)):
        text = client.get(path).raise_for_status().text
        assert re.findall(r"https?://[\w.]+", text) == []


def test_other_host_names_and_other_origins_are_refused(client: httpx.Client) -> None:
    """A page elsewhere could otherwise make a browser send requests here, also under its own name for 127.0.0.1."""
    assert client.get("/healthz", headers={"Host": "evil.example:8000"}).status_code == 421
    assert client.get("/healthz", headers={"Host": "localhost:8000"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "[::1]:8000"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "[::2]:8000"}).status_code == 421
    assert client.get("/healthz", headers={"Host": "evil.example]"}).status_code == 421
    for site in ("cross-site", "same-site"):
        assert client.post(CAPTIONS, files=images(BOATS), headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.post(CAPTIONS, files=images(BOATS), headers={"Origin": "http://evil.example"}).status_code == 403
    same_origin = {"Sec-Fetch-Site": "same-origin", "Origin": str(client.base_url).rstrip("/")}
    assert client.post(CAPTIONS, files=images(BOATS), headers=same_origin).status_code == 200


def test_a_token_and_an_allowed_host(tmp_path: Path) -> None:
    arguments = ("--host", "0.0.0.0", "--allowed-host", "Captions.example.org")  # noqa: S104
    with (
        serving(tmp_path, *arguments, LOOKSAY_TOKEN="open sesame") as server,  # noqa: S106
        httpx.Client(base_url=server.url) as client,
    ):
        for host, status in (("captions.example.org", 200), ("localhost:8000", 200), ("evil.example", 421)):
            assert client.get("/readyz", headers={"Host": host}).status_code == status
        assert client.get("/").status_code == client.get("/healthz").status_code == 200
        for path in ("/v1/models", "/metrics"):
            refused = client.get(path, headers={"Authorization": "Bearer wrong"})
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert client.get(path, headers={"Authorization": "bearer open sesame"}).status_code == 200
        assert client.post(CAPTIONS, files=images(BOATS)).status_code == 401
        assert "open sesame" not in server.log


def test_images_of_concurrent_requests_are_captioned_together(client: httpx.Client) -> None:
    batches, before = (metric(client, f"looksay_batch_images_{suffix}") for suffix in ("count", "sum"))
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: client.post(CAPTIONS, files=images(BOATS)), range(16)))
    assert {response.json()["images"][0]["captions"][0]["text"] for response in responses} == {looksay.caption(BOATS)}
    assert metric(client, "looksay_batch_images_sum") == before + 16
    assert metric(client, "looksay_batch_images_count") < batches + 16


def test_the_log_has_requests_and_no_content(server: Server, client: httpx.Client) -> None:
    content = BOATS.read_bytes() + b"0" * 12345
    client.post(f"{CAPTIONS}?prefix=two+men", files=images(("secret-name.jpg", content))).raise_for_status()
    deadline = time.monotonic() + 5
    row: dict[str, Any] = {}
    while row.get("bytes", 0) < len(content):  # the row is written after the response
        assert time.monotonic() < deadline
        row = json.loads(server.log.splitlines()[-1])
    assert (row["method"], row["path"], row["status"]) == ("POST", CAPTIONS, 200)
    assert (row["images"], row["client"]) == (1, "127.0.0.1")
    assert row["seconds"] > 0
    assert "secret-name" not in server.log
    assert "two men" not in server.log.replace("+", " ")
    assert "Traceback" not in server.log


def test_at_its_capacity_the_server_refuses_requests_at_once(tmp_path: Path) -> None:
    arguments = ("--max-requests", "2", "--queue", "8", "--max-images", "8", "--threads", "1")
    with serving(tmp_path, *arguments) as server, httpx.Client(base_url=server.url, timeout=60) as client:

        def request(_: int) -> tuple[int, float, str]:
            start = time.perf_counter()
            response = client.post(CAPTIONS, files=images(*[BOATS] * 5), params={"num_beams": 10})
            return response.status_code, time.perf_counter() - start, response.headers.get("Retry-After", "")

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(request, range(16)))
        assert {status for status, *_ in outcomes} == {200, 503}
        served = [seconds for status, seconds, _ in outcomes if status == 200]
        refused = sorted(seconds for status, seconds, _ in outcomes if status == 503)
        assert refused[len(refused) // 2] < min(served)
        assert {retry_after for status, _, retry_after in outcomes if status == 503} == {"1"}
        assert client.post(CAPTIONS, files=images(BOATS)).status_code == 200
        assert metric(client, "looksay_queue_images") == 0


def test_sigterm_finishes_open_requests(tmp_path: Path) -> None:
    responses: list[httpx.Response] = []
    with serving(tmp_path, "--threads", "1") as server:

        def request() -> None:
            files, params = images(*[BOATS] * 24), {"num_beams": 10}
            responses.append(httpx.post(f"{server.url}{CAPTIONS}", files=files, params=params, timeout=60))

        thread = threading.Thread(target=request)
        thread.start()
        with httpx.Client(base_url=server.url) as client:
            while metric(client, "looksay_queue_images") == 0:
                assert thread.is_alive()
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        assert server.process.wait(timeout=30) == 0
    assert responses[0].status_code == 200
    assert len(responses[0].json()["images"]) == 24


def test_a_port_in_use_is_named(server: Server) -> None:
    port = str(server.address[1])
    result = CliRunner().invoke(main, ["serve", "--port", port])
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in result.output
    assert "use another --port" in result.output
