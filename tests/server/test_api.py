"""A program that sends images gets what the library would say, and one clear answer when something is wrong."""

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
from conftest import EXAMPLES, PHOTOS
from serving import Server, images, serving

import looksay

CAPTIONS = "/v1/captions"
BOATS = EXAMPLES / "boats.jpg"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as opened:
        yield opened


def metric(client: httpx.Client, name: str) -> float:
    """The value of a counter, its labels in its name."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_images_are_captioned_as_the_library_does_and_a_broken_one_spoils_none(client: httpx.Client) -> None:
    files = images(*(EXAMPLES / photo for photo in PHOTOS), ("broken.jpg", b"\xff\xd8 not an image"))
    answer = client.post(CAPTIONS, files=files, params={"num_captions": 2, "num_beams": 4}).raise_for_status().json()
    captioner = looksay.load()
    assert answer["model"] == captioner.name
    *said, broken = answer["images"]
    assert [image["name"] for image in said] == list(PHOTOS)
    for image in said:
        own = captioner(EXAMPLES / image["name"], num_captions=2, num_beams=4)
        assert [caption["text"] for caption in image["captions"]] == [str(caption) for caption in own]
        assert [c["log_prob"] for c in image["captions"]] == pytest.approx([c.log_prob for c in own], abs=0.01)
        assert image["captions"][0]["words"] == list(own[0].tokens)
        assert "attention" not in image["captions"][0]
    assert (said[PHOTOS.index("boats.jpg")]["width"], said[PHOTOS.index("boats.jpg")]["height"]) == (640, 512)
    assert broken["name"] == "broken.jpg"
    assert "not an image" in broken["error"]


def test_a_image_can_be_sent_as_it_is(client: httpx.Client) -> None:
    for kind in ("image/jpeg", "application/octet-stream", ""):
        answer = client.post(CAPTIONS, content=BOATS.read_bytes(), headers={"Content-Type": kind}).raise_for_status()
        (image,) = answer.json()["images"]
        assert image["captions"][0]["text"] == looksay.caption(BOATS)


def test_options_do_what_they_do_in_the_library(client: httpx.Client) -> None:
    def said(**options: Any) -> dict[str, Any]:
        answer = client.post(CAPTIONS, files=images(BOATS), params=options).raise_for_status()
        found: dict[str, Any] = answer.json()["images"][0]["captions"][0]
        return found

    assert said(prefix="two men")["text"].startswith("two men ")
    assert len(said(max_length=4)["words"]) <= 4
    assert "boat" not in said(bad_words=["boat", "boats"])["words"]
    assert len({said(temperature=1.5)["text"] for _ in range(4)}) > 1
    assert len({said(temperature=1.5, seed=7)["text"] for _ in range(3)}) == 1
    looked = said(attention=True)
    assert len(looked["attention"]) == len(looked["words"])
    assert sum(map(sum, looked["attention"][0])) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("options", "problem"), [
    ({"num_beams": 0}, "greater than or equal to 1"),
    ({"num_beams": "many"}, "valid integer"),
    ({"num_captions": 3, "num_beams": 2}, "num_captions is 3; it must be from 1 to beam (2)"),
    ({"prefix": "xylophones"}, "xylophones"),
    ({"bream": 3}, "Extra inputs are not permitted"),
])  # fmt: skip
def test_a_bad_option_is_named(client: httpx.Client, options: dict[str, Any], problem: str) -> None:
    answer = client.post(CAPTIONS, files=images(BOATS), params=options)
    assert answer.status_code == 422
    assert problem in json.dumps(answer.json()["detail"])


def test_a_request_without_a_readable_image_has_failed(client: httpx.Client) -> None:
    answer = client.post(CAPTIONS, files=images(("empty.jpg", b""), ("text.png", b"words")))
    assert answer.status_code == 422
    assert [set(image) for image in answer.json()["images"]] == [{"name", "captions", "error"}] * 2


def test_it_tells_what_it_is_and_how_it_is(client: httpx.Client) -> None:
    known = client.get("/v1/models").raise_for_status().json()
    assert known["models"][0]["name"] == looksay.load().name
    assert known["models"][0]["grid"] == [8, 8]
    assert known["limits"]["images"] == 32
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


def test_its_description_names_every_way_to_ask(client: httpx.Client) -> None:
    described = client.get("/openapi.json").raise_for_status().json()["paths"]
    assert set(described) == {"/v1/captions", "/v1/models", "/healthz", "/readyz", "/metrics"}
    post = described["/v1/captions"]["post"]
    assert set(post["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    assert {"num_beams", "num_captions", "temperature", "max_length", "prefix", "attention"} <= {
        p["name"] for p in post["parameters"]
    }


@pytest.mark.parametrize("path", ["/", "/docs", "/page/app.js", "/healthz", "/nowhere", CAPTIONS])
def test_every_answer_keeps_browsers_safe(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"Origin": "https://example.org"})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Server" not in answer.headers


def test_the_page_asks_no_other_host(client: httpx.Client) -> None:
    files = ("app.js", "api.js", "card.js", "files.js", "docs.js", "style.css")
    for path in ("/", "/docs", *(f"/page/{file}" for file in files)):
        text = client.get(path).raise_for_status().text
        assert re.findall(r"https?://[\w.]+", text) == []


def test_another_name_or_another_site_may_not_ask(client: httpx.Client) -> None:
    """A page elsewhere could otherwise make a browser ask this server, by a name of its own for 127.0.0.1."""
    assert client.get("/healthz", headers={"Host": "evil.example:8000"}).status_code == 421
    assert client.get("/healthz", headers={"Host": "localhost:8000"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "[::1]:8000"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "[::2]:8000"}).status_code == 421
    assert client.get("/healthz", headers={"Host": "evil.example]"}).status_code == 421
    for site in ("cross-site", "same-site"):
        assert client.post(CAPTIONS, files=images(BOATS), headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.post(CAPTIONS, files=images(BOATS), headers={"Origin": "http://evil.example"}).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Origin": str(client.base_url).rstrip("/")}
    assert client.post(CAPTIONS, files=images(BOATS), headers=own).status_code == 200


def test_the_name_that_is_allowed_is_one_more(tmp_path: Path) -> None:
    arguments = ("--host", "0.0.0.0", "--allowed-host", "Captions.example.org")  # noqa: S104
    with serving(tmp_path, *arguments) as server, httpx.Client(base_url=server.url) as client:
        for host, status in (("captions.example.org", 200), ("localhost:8000", 200), ("evil.example", 421)):
            assert client.get("/readyz", headers={"Host": host}).status_code == status


def test_images_that_come_together_are_captioned_together(client: httpx.Client) -> None:
    batches, before = (metric(client, f"looksay_batch_images_{what}") for what in ("count", "sum"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post(CAPTIONS, files=images(BOATS)), range(16)))
    assert {answer.json()["images"][0]["captions"][0]["text"] for answer in answers} == {looksay.caption(BOATS)}
    assert metric(client, "looksay_batch_images_sum") == before + 16
    assert metric(client, "looksay_batch_images_count") < batches + 16


def test_the_log_says_who_asked_for_how_much_and_never_for_what(server: Server, client: httpx.Client) -> None:
    content = BOATS.read_bytes() + b"0" * 12345
    client.post(f"{CAPTIONS}?prefix=two+men", files=images(("secret-name.jpg", content))).raise_for_status()
    deadline = time.monotonic() + 5
    row: dict[str, Any] = {}
    while row.get("bytes", 0) < len(content):  # it is written after the answer is sent
        assert time.monotonic() < deadline
        row = json.loads(server.log.splitlines()[-1])
    assert (row["method"], row["path"], row["status"]) == ("POST", CAPTIONS, 200)
    assert (row["images"], row["client"]) == (1, "127.0.0.1")
    assert row["seconds"] > 0
    assert "secret-name" not in server.log
    assert "two men" not in server.log.replace("+", " ")
    assert "Traceback" not in server.log


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, LOOKSAY_TOKEN="open sesame") as server, httpx.Client(base_url=server.url) as client:  # noqa: S106
        assert client.get("/").status_code == client.get("/healthz").status_code == 200
        for path in ("/v1/models", "/metrics"):
            refused = client.get(path, headers={"Authorization": "Bearer wrong"})
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert client.get(path, headers={"Authorization": "bearer open sesame"}).status_code == 200
        assert client.post(CAPTIONS, files=images(BOATS)).status_code == 401
        assert "open sesame" not in server.log


def test_over_its_capacity_it_says_so_at_once(tmp_path: Path) -> None:
    arguments = ("--max-requests", "2", "--queue", "8", "--max-images", "8", "--threads", "1")
    with serving(tmp_path, *arguments) as server, httpx.Client(base_url=server.url, timeout=60) as client:

        def ask(_: int) -> tuple[int, float, str]:
            start = time.perf_counter()
            answer = client.post(CAPTIONS, files=images(*[BOATS] * 5), params={"num_beams": 10})
            return answer.status_code, time.perf_counter() - start, answer.headers.get("Retry-After", "")

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(24)))
        assert {status for status, *_ in answers} == {200, 503}
        served = [seconds for status, seconds, _ in answers if status == 200]
        turned_away = [(seconds, again) for status, seconds, again in answers if status == 503]
        assert sorted(seconds for seconds, _ in turned_away)[len(turned_away) // 2] < min(0.2, *served)
        assert {again for _, again in turned_away} == {"1"}
        assert client.post(CAPTIONS, files=images(BOATS)).status_code == 200
        assert metric(client, "looksay_queue_images") == 0


def test_sigterm_ends_it_when_what_it_has_begun_is_done(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with serving(tmp_path, "--threads", "1") as server:
        asking = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{server.url}{CAPTIONS}", files=images(*[BOATS] * 24), params={"num_beams": 10}, timeout=60)
            )
        )
        asking.start()
        with httpx.Client(base_url=server.url) as client:
            while metric(client, "looksay_queue_images") == 0:
                assert asking.is_alive()
        server.process.send_signal(signal.SIGTERM)
        asking.join()
        assert server.process.wait(timeout=30) == 0
    assert answers[0].status_code == 200
    assert len(answers[0].json()["images"]) == 24


def test_a_port_in_use_is_named(server: Server) -> None:
    from click.testing import CliRunner

    from looksay.cli.main import main

    result = CliRunner().invoke(main, ["serve", "--port", server.url.rsplit(":", 1)[1]])
    assert result.exit_code == 2
    assert "name another with --port" in result.output
