"""Ollama's dialect: ``/api/generate``, ``/api/chat``, ``/api/tags`` and ``/api/version``, with images in base64.

Source: Ollama's API documentation, docs/api.md of its repository.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

import looksay
from looksay.captioner import Captioner
from looksay.server.chat import Answer, Captions, answers, decode_image, options_from

GENERATE, CHAT, TAGS, VERSION = "/api/generate", "/api/chat", "/api/tags", "/api/version"
PREFIX = "/api/"


class Options(BaseModel):
    """The options that have an effect; others are ignored."""

    temperature: Annotated[float, Field(ge=0, le=10)] | None = None
    top_k: int | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    num_predict: int | None = None


class _Request(BaseModel):
    model: str = Field("", description="Any name: the server has one model.")
    stream: bool | None = None
    options: Options | None = None


class GenerateRequest(_Request):
    """The fields that have an effect, and the prompt, which has none."""

    prompt: str | None = None
    images: list[str] | None = None


class Message(BaseModel):
    """A message; only the images of the last message that has any are captioned."""

    role: str
    content: str | None = None
    images: list[str] | None = None


class ChatRequest(_Request):
    """The fields that have an effect; others are ignored."""

    messages: list[Message] = []


class ErrorBody(BaseModel):
    """The body of a response to a request that failed, as Ollama's clients read it."""

    error: str


class OllamaApi:
    """The endpoints."""

    def __init__(self, captioner: Captioner, captions: Captions) -> None:
        self._captioner, self._captions = captioner, captions

    async def generate(self, request: Request, body: GenerateRequest) -> Response:
        """Caption images; the prompt is ignored."""
        if not body.images and not body.prompt:  # how clients load a model
            return JSONResponse(self._row({"response": ""}, done=True, done_reason="load"))
        return await self._answer(request, body, body.images or [], lambda text: {"response": text})

    async def chat(self, request: Request, body: ChatRequest) -> Response:
        """Caption the images of the last message that has any; text is ignored."""
        if not body.messages:
            empty = {"message": {"role": "assistant", "content": ""}}
            return JSONResponse(self._row(empty, done=True, done_reason="load"))
        images = next((message.images for message in reversed(body.messages) if message.images), [])
        return await self._answer(
            request, body, images, lambda text: {"message": {"role": "assistant", "content": text}}
        )

    async def tags(self) -> dict[str, Any]:
        """Describe the model."""
        bundle = self._captioner.bundle
        size = sum(file.stat().st_size for file in bundle.folder.iterdir())
        details = {
            "parent_model": "", "format": "onnx", "family": "looksay", "families": ["looksay"], "parameter_size": "",
            "quantization_level": "",
        }  # fmt: skip
        name = self._captioner.name
        row = {"name": name, "model": name, "modified_at": _now(), "size": size, "digest": "", "details": details}
        return {"models": [row]}

    async def version(self) -> dict[str, str]:
        """Return looksay's version."""
        return {"version": looksay.__version__}

    async def _answer(self, request: Request, body: _Request, images: list[str], content: Any) -> Response:
        if not images:
            raise HTTPException(400, "there is no image: send images in base64; a prompt alone has no caption")
        start, own = time.perf_counter_ns(), self._captioner.bundle.spec.decoding.max_length
        chosen = body.options or Options()
        top_k = None if chosen.top_k is None else max(0, chosen.top_k)  # -1 is all words, too
        options = options_from(
            chosen.num_predict, own, temperature=chosen.temperature, top_k=top_k, top_p=chosen.top_p, seed=chosen.seed
        )
        uploads = [("", decode_image(image)) for image in images]
        results = await self._captions(request, uploads, options)
        (answer,) = answers(results, 1, options.get("max_length", own))
        last = self._last(answer, time.perf_counter_ns() - start)
        if body.stream is False:
            return JSONResponse(self._row(content(answer.text), **last))
        rows = [self._row(content(answer.text), done=False), self._row(content(""), **last)]
        return StreamingResponse((f"{json.dumps(row)}\n" for row in rows), media_type="application/x-ndjson")

    def _row(self, content: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"model": self._captioner.name, "created_at": _now(), **content, **more}

    @staticmethod
    def _last(answer: Answer, nanoseconds: int) -> dict[str, Any]:
        return {
            "done": True,
            "done_reason": answer.finish_reason,
            "total_duration": nanoseconds,
            "load_duration": 0,
            "prompt_eval_count": 0,
            "prompt_eval_duration": 0,
            "eval_count": answer.tokens,
            "eval_duration": nanoseconds,
        }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
