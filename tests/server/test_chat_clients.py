"""The official clients of OpenAI and Ollama receive the captions of the library."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import openai
import pytest
from conftest import EXAMPLES
from serving import Server, serving

import looksay

BOATS, CAT = EXAMPLES / "boats.jpg", EXAMPLES / "cat.jpg"


def data_uri(photo: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(photo.read_bytes()).decode()}"


def message(*photos: Path, text: str = "What is in this image?") -> Any:
    images = [{"type": "image_url", "image_url": {"url": data_uri(photo)}} for photo in photos]
    return {"role": "user", "content": [{"type": "text", "text": text}, *images]}


@pytest.fixture
def chat(server: Server) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client.chat.completions


@pytest.fixture
def local(server: Server) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.url) as client:
        yield client


def test_openai_receives_the_caption_of_the_library(chat: Any) -> None:
    answer = chat.create(model="gpt-4o", messages=[message(CAT), message(BOATS)], max_tokens=300)
    (choice,) = answer.choices
    caption = looksay.load()(BOATS)
    assert choice.message.content == caption.text
    assert choice.finish_reason == "stop"
    assert answer.model == looksay.load().name
    assert answer.usage.completion_tokens == len(caption.tokens)


def test_openai_receives_several_captions_and_a_line_for_each_image(chat: Any) -> None:
    several = chat.create(model="looksay", messages=[message(BOATS)], n=4)
    assert [one.message.content for one in several.choices] == list(map(str, looksay.load()(BOATS, num_captions=4)))
    both = chat.create(model="looksay", messages=[message(BOATS, CAT)])
    assert both.choices[0].message.content == f"{looksay.caption(BOATS)}\n{looksay.caption(CAT)}"


def test_openai_options_work_as_those_of_the_library(chat: Any) -> None:
    short = chat.create(model="looksay", messages=[message(BOATS)], max_tokens=3)
    assert short.choices[0].message.content == looksay.caption(BOATS, max_length=3)
    assert short.choices[0].finish_reason == "length"
    sampled = [chat.create(model="looksay", messages=[message(BOATS)], temperature=1.5, seed=7) for _ in range(2)]
    texts = {one.choices[0].message.content for one in sampled}
    assert texts == {looksay.caption(BOATS, temperature=1.5, seed=7)}


def test_openai_streams_the_caption(chat: Any) -> None:
    stream = chat.create(
        model="looksay", messages=[message(BOATS)], stream=True, stream_options={"include_usage": True}
    )
    events = list(stream)
    assert "".join(one.choices[0].delta.content or "" for one in events if one.choices) == looksay.caption(BOATS)
    assert [one.choices[0].finish_reason for one in events if one.choices] == [None, "stop"]
    assert events[-1].usage.completion_tokens > 0


def test_openai_lists_the_model(server: Server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        assert [model.id for model in client.models.list()] == [looksay.load().name]


@pytest.mark.parametrize(("content", "problem"), [
    ("What is this?", "no message has an image"),
    ([{"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}}], "no URL is fetched"),
    ([{"type": "image_url", "image_url": {"url": "file:///etc/hostname"}}], "no URL is fetched"),
    ([{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,%%%"}}], "an image is not base64"),
    ([{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGVsbG8="}}], "not an image"),
])  # fmt: skip
def test_openai_receives_errors_in_its_shape(chat: Any, content: Any, problem: str) -> None:
    with pytest.raises(openai.BadRequestError, match=problem) as caught:
        chat.create(model="looksay", messages=[{"role": "user", "content": content}])
    assert caught.value.type == "invalid_request_error"


def test_openai_receives_the_name_of_a_wrong_option(chat: Any) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match=r"temperature '-1\.0': Input should be greater"):
        chat.create(model="looksay", messages=[message(BOATS)], temperature=-1.0)


def test_openai_reads_errors_of_paths_that_looksay_does_not_have(server: Server) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    with client, pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o")
    assert caught.value.body["message"] == "Not Found"  # type: ignore[index]


def test_openai_takes_any_seed(chat: Any) -> None:
    answer = chat.create(model="looksay", messages=[message(BOATS)], seed=-1, top_p=0)
    assert answer.choices[0].message.content == looksay.caption(BOATS)


def test_a_token_protects_all_dialects(tmp_path: Path) -> None:
    with serving(tmp_path, "--token", "secret") as server:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError, match="the token is missing or wrong"):
                client.chat.completions.create(model="looksay", messages=[message(BOATS)])
            right = client.with_options(api_key="secret").chat.completions
            assert right.create(model="looksay", messages=[message(BOATS)]).choices
        with ollama.Client(host=server.url) as stranger, pytest.raises(ollama.ResponseError, match="the token is"):
            stranger.generate("looksay", "", images=[str(BOATS)])
        with ollama.Client(host=server.url, headers={"Authorization": "Bearer secret"}) as friend:
            assert friend.generate("looksay", "", images=[str(BOATS)]).response


def test_ollama_generates_the_caption_of_the_library(local: ollama.Client) -> None:
    answer = local.generate("llava", "Describe this image.", images=[str(BOATS)])
    assert answer.response == looksay.caption(BOATS)
    assert (answer.done, answer.done_reason) == (True, "stop")
    parts = list(local.generate("llava", "Describe this image.", images=[BOATS.read_bytes()], stream=True))
    assert "".join(part.response or "" for part in parts) == looksay.caption(BOATS)
    assert [part.done for part in parts] == [False, True]
    assert local.generate("llava").done_reason == "load"


def test_ollama_chats_about_the_last_images(local: ollama.Client) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Describe.", "images": [str(CAT)]},
                {"role": "user", "content": "And this?", "images": [str(BOATS)]}]  # fmt: skip
    assert local.chat("llava", messages).message.content == looksay.caption(BOATS)
    parts = list(local.chat("llava", messages, stream=True))
    assert "".join(part.message.content or "" for part in parts) == looksay.caption(BOATS)


def test_ollama_options_work_as_those_of_the_library(local: ollama.Client) -> None:
    short = local.generate("llava", "", images=[str(BOATS)], options={"num_predict": 3, "num_ctx": 4096})
    assert short.response == looksay.caption(BOATS, max_length=3)
    assert short.done_reason == "length"
    odd = {"seed": -1, "top_k": -1, "top_p": 0.0, "temperature": 1.0}  # top_p leaves the most probable word
    assert local.generate("llava", "", images=[str(BOATS)], options=odd).response == looksay.caption(BOATS, num_beams=1)
    unlimited = local.generate("llava", "", images=[str(BOATS)], options={"num_predict": -1, "temperature": 0})
    assert unlimited.response == looksay.caption(BOATS)


def test_ollama_lists_the_model_and_the_version(local: ollama.Client, server: Server) -> None:
    (model,) = local.list().models
    assert model.model == looksay.load().name
    assert model.size is not None
    assert model.size > 1_000_000
    assert httpx.get(f"{server.url}/api/version").json() == {"version": looksay.__version__}


def test_requests_as_curl_sends_them_are_read(server: Server) -> None:
    """Ollama's own examples name no content type, and `base64 photo.jpg` breaks lines."""
    lines = base64.encodebytes(BOATS.read_bytes()).decode()
    body = {"model": "x", "stream": False, "images": [lines]}
    for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
        headers = {"Content-Type": kind} if kind else {}
        response = httpx.post(f"{server.url}/api/generate", content=json.dumps(body), headers=headers)
        assert (response.status_code, response.json()["response"]) == (200, looksay.caption(BOATS))
    chat = {"messages": [message(BOATS)]}
    response = httpx.post(f"{server.url}/v1/chat/completions", content=json.dumps(chat))
    assert response.json()["choices"][0]["message"]["content"] == looksay.caption(BOATS)


def test_ollama_receives_errors_in_its_shape(local: ollama.Client, server: Server) -> None:
    for images, problem in ((None, "there is no image"), ([b"hello"], "not an image")):
        with pytest.raises(ollama.ResponseError, match=problem) as caught:
            local.generate("llava", "Describe.", images=images)
        assert caught.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match=r"options\.temperature '-1\.0': Input should be greater"):
        local.generate("llava", "", images=[str(BOATS)], options={"temperature": -1.0})
    response = httpx.post(f"{server.url}/api/generate", content=b"{", headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert "JSON" in response.json()["error"]
