"""Images come from the forms of all kinds of clients, with the names that these gave them."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest
from conftest import EXAMPLES
from serving import Server

BOATS = (EXAMPLES / "boats.jpg").read_bytes()


def post_form(server: Server, *parts: tuple[str, bytes]) -> httpx.Response:
    """Send a form of parts: a header and a content each."""
    body = b"".join(b"--x\r\n%b\r\n\r\n%b\r\n" % (header.encode(), content) for header, content in parts) + b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return httpx.post(f"{server.url}/v1/captions", content=body, headers=headers, timeout=60)


def names(server: Server, *dispositions: str) -> list[str]:
    """Return the names in the results for image parts with these headers."""
    parts = [(f"Content-Disposition: form-data; {disposition}", BOATS) for disposition in dispositions]
    results: list[dict[str, Any]] = post_form(server, *parts).raise_for_status().json()["images"]
    assert all(result["captions"] for result in results)
    return [result["name"] for result in results]


def test_names_in_the_syntax_of_rfc_8187_come_back_decoded(server: Server) -> None:
    """RFC 7578 forbids filename*, and clients send it."""
    assert names(
        server,
        "name=\"images\"; filename*=UTF-8''caf%C3%A9%20%E2%82%AC.jpg",
        'name="images"; filename="cafe.jpg"; filename*=UTF-8\'\'caf%C3%A9.jpg',
        'name="images"; filename*=utf-8\'en\'caf%c3%a9.jpg; filename="cafe.jpg"',
        "name=\"images\"; filename*=ISO-8859-1''caf%E9.jpg",
        "name=images; FILENAME*=UTF-8''%22a%5Cb%22%3B.jpg",
    ) == ["café €.jpg", "café.jpg", "café.jpg", "café.jpg", '"a\\b";.jpg']


def test_plain_names_come_back_as_they_are(server: Server) -> None:
    assert names(
        server,
        'name="images"; filename="café €.jpg"',
        'name="images"; filename="100%25*.jpg"',
        'name="images"; filename="a \\"b\\".jpg"',
        "name=images; filename=a.jpg",
    ) == ["café €.jpg", "100%25*.jpg", 'a "b".jpg', "a.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        "*=x",
        "*=undefined''a.jpg",
        "*=UTF-8''%ff%zz",
        "*0=a; filename*1=b",
        "*=''",
        "*=abc; filename*0*=utf-8''x; filename*1=y",
    ],
)
def test_a_malformed_name_is_no_reason_to_refuse_the_image(server: Server, name: str) -> None:
    assert len(names(server, f'name="images"; filename{name}')) == 1


def test_an_image_needs_no_file_name(server: Server) -> None:
    form = "Content-Disposition: form-data; name="
    response = post_form(
        server, (f'{form}"images"', BOATS), (f"{form}photo\r\nContent-Type: image/jpeg", BOATS * 10), ("X: y", BOATS)
    )
    assert response.status_code == 400  # the last part has no name at all
    response = post_form(server, (f'{form}"images"', BOATS), (f"{form}photo\r\nContent-Type: image/jpeg", BOATS))
    assert [result["name"] for result in response.raise_for_status().json()["images"]] == ["", ""]


def test_a_large_image_needs_no_file_name(server: Server) -> None:
    large = BOATS + b"\0" * 2_000_000
    (result,) = post_form(server, ("Content-Disposition: form-data; name=images", large)).json()["images"]
    assert result["captions"]


def test_an_option_in_the_form_is_named(server: Server) -> None:
    form = "Content-Disposition: form-data; name="
    response = post_form(server, (f'{form}"images"; filename="a.jpg"', BOATS), (f"{form}num_beams", b"5"))
    assert response.status_code == 400
    assert response.json()["detail"] == "num_beams is not a file: put options into the URL, /v1/captions?num_beams=5"


def test_a_compressed_upload_is_refused_by_the_name_of_its_coding(server: Server) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    response = httpx.post(f"{server.url}/v1/captions", content=gzip.compress(BOATS), headers=headers)
    assert response.status_code == 415
    assert "content encoding gzip" in response.json()["detail"]
