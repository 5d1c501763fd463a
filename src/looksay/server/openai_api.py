"""OpenAI's dialect: ``POST /v1/chat/completions`` with images as data URIs.

Source: OpenAI's API reference, "Create chat completion" and "The chat completion chunk object".
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from looksay.captioner import Captioner
from looksay.server.chat import Answer, Captions, answers, decode_image, options_from
from looksay.server.settings import DECODING_LIMITS

PATH = "/v1/chat/completions"

_MOST = DECODING_LIMITS["num_captions"]["le"]


class ImageUrl(BaseModel):
    """An image of a message."""

    url: str = Field(description="The image as a data URI; no URL is fetched.")


class Part(BaseModel):
    """A part of a message; only images are read."""

    type: str
    image_url: ImageUrl | str | None = None


class Message(BaseModel):
    """A message; only the images of the last message that has any are captioned."""

    role: str
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The fields that have an effect; others are ignored."""

    messages: list[Message]
    model: str = Field("", description="Any name: the server has one model.")
    n: Annotated[int, Field(ge=1, le=_MOST)] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class ErrorDetail(BaseModel):
    """An error as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of a response to a request that failed."""

    error: ErrorDetail


def error_body(status: int, detail: str) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return ErrorBody(error=ErrorDetail(message=detail, type=kind)).model_dump()


def model_list(captioner: Captioner) -> dict[str, Any]:
    """Return the fields of ``GET /v1/models`` that OpenAI's clients read."""
    return {"object": "list", "data": [{"id": captioner.name, "object": "model", "created": 0, "owned_by": "looksay"}]}


class ChatCompletions:
    """The endpoint."""

    def __init__(self, captioner: Captioner, captions: Captions) -> None:
        self._captioner, self._captions = captioner, captions

    async def __call__(self, request: Request, body: ChatRequest) -> Response:
        """Caption the images of the last message that has any; text is ignored. For OpenAI's clients."""
        uploads = [("", decode_image(url)) for url in _image_urls(body)]
        own, count = self._captioner.bundle.spec.decoding.max_length, body.n or 1
        limit = body.max_completion_tokens or body.max_tokens
        options = options_from(
            limit, own, temperature=body.temperature, seed=body.seed, top_p=body.top_p,
            num_captions=count if count > 1 else None,
        )  # fmt: skip
        images = await self._captions(request, uploads, options)
        texts = answers(images, count, options.get("max_length", own))
        head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk" if body.stream else "chat.completion",
            "created": int(time.time()),
            "model": self._captioner.name,
        }
        tokens = sum(answer.tokens for answer in texts)
        usage = {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens}
        if body.stream:
            shown = usage if body.stream_options and body.stream_options.include_usage else None
            return StreamingResponse(_events(head, texts, shown), media_type="text/event-stream")
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "logprobs": None,
                "finish_reason": answer.finish_reason,
            }
            for index, answer in enumerate(texts)
        ]
        return JSONResponse({**head, "choices": choices, "usage": usage})


def _image_urls(body: ChatRequest) -> list[str]:
    for message in reversed(body.messages):
        parts = message.content if isinstance(message.content, list) else []
        images = [part.image_url for part in parts if part.type == "image_url" and part.image_url is not None]
        if images:
            return [image if isinstance(image, str) else image.url for image in images]
    raise HTTPException(400, "no message has an image: send a part of type image_url with a data URI")


def _events(head: dict[str, Any], texts: list[Answer], usage: dict[str, int] | None) -> Iterator[str]:
    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n"

    for index, answer in enumerate(texts):
        delta = {"role": "assistant", "content": answer.text}
        yield event([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])
        yield event([{"index": index, "delta": {}, "logprobs": None, "finish_reason": answer.finish_reason}])
    if usage:
        yield event([], usage=usage)
    yield "data: [DONE]\n\n"
