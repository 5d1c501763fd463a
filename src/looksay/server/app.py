"""The routes of the HTTP API."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

import looksay
from looksay.captioner import Captioner
from looksay.decoding.options import DecodingOptions
from looksay.errors import ImageError, OptionError
from looksay.server import ollama_api, openai_api, schemas
from looksay.server.batching import Batcher, QueueFull, Seconds
from looksay.server.middleware import CAPTIONS, LimitsMiddleware, busy_response, error_response
from looksay.server.ollama_api import OllamaApi
from looksay.server.openai_api import ChatCompletions
from looksay.server.prometheus import Metrics
from looksay.server.schemas import ImageResult
from looksay.server.settings import ServerSettings
from looksay.server.uploads import Upload, read_uploads

_PAGE_FILES = StaticFiles(directory=Path(__file__).parent / "page")

T = TypeVar("T")

_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"images": {"type": "array", "items": _BINARY}}, "required": ["images"]}
_REQUEST_BODY = {"multipart/form-data": {"schema": _FORM}, "image/*": {"schema": _BINARY}}
_ERRORS = {
    400: "The upload is malformed or has no image.",
    401: "The token is missing or wrong.",
    408: "The upload took too long.",
    413: "The upload is too large or has too many images.",
    415: "The upload is neither a form nor an image.",
    422: "An option is out of its range, or no image can be read.",
    503: "The server is busy; Retry-After has the seconds to wait.",
    504: "Captioning took too long.",
}


def create_app(captioner: Captioner, settings: ServerSettings | None = None) -> LimitsMiddleware:
    """Create the ASGI application of a captioner; run it with uvicorn."""
    settings = settings or ServerSettings()
    metrics = Metrics()
    routes = _Routes(captioner, settings, metrics)
    app = FastAPI(
        title="looksay",
        version=looksay.__version__,
        description="Generate captions for images.",
        lifespan=routes.lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(OptionError, lambda request, error: error_response(_path(request), 422, str(error)))
    app.add_exception_handler(QueueFull, lambda request, _: busy_response(_path(request)))
    app.add_exception_handler(Exception, _internal_error)
    app.add_exception_handler(405, _method_not_allowed)
    app.mount("/page", _PAGE_FILES, "page")
    for path, file in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_route(path, _page(file), include_in_schema=False)
    errors = _responses(schemas.ErrorResponse)
    errors[422]["model"] = schemas.CaptionResponse | schemas.ErrorResponse
    app.add_api_route(
        CAPTIONS,
        routes.captions,
        methods=["POST"],
        response_model=schemas.CaptionResponse,
        responses=errors,
        openapi_extra={"requestBody": {"required": True, "content": _REQUEST_BODY}},
    )
    app.add_api_route("/v1/models", routes.models)
    _add_chat(app, ChatCompletions(captioner, routes.results), OllamaApi(captioner, routes.results))
    app.add_api_route("/healthz", routes.healthz)
    app.add_api_route("/readyz", routes.readyz, responses={503: {"model": schemas.Status}})
    app.add_api_route("/metrics", routes.metrics, response_class=Response)
    app.openapi()  # is kept; later, it would describe each GET once more as HEAD
    for route in app.routes:
        if isinstance(route, APIRoute) and route.methods == {"GET"}:
            route.methods.add("HEAD")
    return LimitsMiddleware(app, settings, metrics)


def _responses(model: Any) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": model, "description": description} for status, description in _ERRORS.items()}


def _add_chat(app: FastAPI, openai: ChatCompletions, ollama: OllamaApi) -> None:
    """Add the routes that clients of other servers know."""
    for path, endpoint, error in (
        (openai_api.PATH, openai, openai_api.ErrorBody),
        (ollama_api.GENERATE, ollama.generate, ollama_api.ErrorBody),
        (ollama_api.CHAT, ollama.chat, ollama_api.ErrorBody),
    ):
        app.add_api_route(
            path, endpoint, methods=["POST"], response_class=JSONResponse, responses=_responses(error), name=path
        )
    app.add_api_route(ollama_api.TAGS, ollama.tags)
    app.add_api_route(ollama_api.VERSION, ollama.version)


class _Routes:
    def __init__(self, captioner: Captioner, settings: ServerSettings, metrics: Metrics) -> None:
        self._captioner, self._settings, self._metrics = captioner, settings, metrics

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self._batcher = Batcher(self._captioner, self._settings, self._metrics)
        async with self._batcher.running():
            yield

    async def captions(self, request: Request, query: Annotated[schemas.CaptionQuery, Query()]) -> Response:
        """Generate captions for the files of a form, or for one image as the request body."""
        overrides = query.model_dump(exclude={"attention"}, exclude_none=True)
        self._captioner.options(overrides)  # raises before the upload is read
        uploads = await read_uploads(request, self._settings.max_images)
        start = time.perf_counter()
        outcomes = await self._caption_all(request, uploads, overrides, query.attention)
        images = [image for image, _ in outcomes]
        answer = schemas.CaptionResponse(model=self._captioner.name, seconds=time.perf_counter() - start, images=images)
        status = 422 if all(image.error for image in images) else 200
        slowest = max((seconds for _, seconds in outcomes), key=lambda seconds: sum(seconds.values()))
        timing = ", ".join(f"{step};dur={1000 * seconds:.1f}" for step, seconds in slowest.items())
        # Attention maps of many captions take long to serialise; in a thread, the event loop serves others meanwhile.
        return await asyncio.to_thread(
            lambda: JSONResponse(answer.model_dump(exclude_none=True), status, {"Server-Timing": timing})
        )

    async def results(
        self, request: Request, uploads: Sequence[Upload], overrides: dict[str, Any]
    ) -> list[ImageResult]:
        """Caption the images that a chat client sends; raise an `HTTPException` if they are too many."""
        if len(uploads) > self._settings.max_images:
            raise HTTPException(413, f"too many images: send at most {self._settings.max_images}")
        return [image for image, _ in await self._caption_all(request, uploads, overrides, attention=False)]

    async def _caption_all(
        self, request: Request, uploads: Sequence[Upload], overrides: dict[str, Any], attention: bool
    ) -> list[tuple[ImageResult, Seconds]]:
        if overrides.get("temperature"):
            overrides.setdefault("seed", secrets.randbelow(2**31))
        options = self._captioner.options(overrides)
        request.scope["looksay.images"] = len(uploads)
        with self._batcher.reserve(len(uploads)):
            results = asyncio.gather(*(self._caption(*upload, options, attention) for upload in uploads))
            return await _unless_disconnected(request, results)

    async def models(self) -> schemas.ModelsResponse:
        """Describe the model, and return the limits of a request."""
        models = [
            schemas.ModelInfo(
                **bundle.spec.to_json(), image_size=bundle.spec.image.size, vocabulary_size=len(bundle.vocabulary)
            )
            for bundle in self._captioner.bundles
        ]
        limits = schemas.RequestLimits.model_validate(self._settings)
        return schemas.ModelsResponse(models=models, limits=limits, **openai_api.model_list(self._captioner))

    async def healthz(self) -> schemas.Status:
        """Return 200 while the server runs."""
        return schemas.Status(status="ok")

    async def readyz(self, response: Response) -> schemas.Status:
        """Return 200 if the server can generate captions, 503 if not."""
        is_ready = self._batcher.is_ready
        response.status_code = 200 if is_ready else 503
        return schemas.Status(status="ready" if is_ready else "not ready")

    async def metrics(self) -> Response:
        """Return metrics in Prometheus' text format."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _caption(
        self, name: str, content: bytes, options: DecodingOptions, attention: bool
    ) -> tuple[ImageResult, Seconds]:
        """Caption an image and measure it; an unreadable one becomes a result with its error."""
        start = time.perf_counter()
        try:
            captions, (width, height), seconds = await self._batcher.caption(content, options, attention=attention)
        except ImageError as error:
            self._metrics.images.labels("failed").inc()
            reason = str(error).removeprefix("<bytes>: ")
            return ImageResult(name=name, error=reason), {"read": time.perf_counter() - start}
        self._metrics.count_captioned()
        results = [schemas.CaptionResult.model_validate(caption) for caption in captions]
        total = sum(seconds.values())
        return ImageResult(name=name, width=width, height=height, captions=results, seconds=total), seconds


def _page(file: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await _PAGE_FILES.get_response(file, request.scope)

    return endpoint


def _path(request: Request) -> str:
    """Return the path of a request without the proxy's part."""
    path: str = request.scope["path"].removeprefix(request.scope["root_path"])
    return path


def _http_error(request: Request, error: Any) -> JSONResponse:
    return error_response(_path(request), error.status_code, error.detail, error.headers)


def _internal_error(request: Request, _: Exception) -> JSONResponse:
    return error_response(_path(request), 500, "internal server error: see the server's log")


def _method_not_allowed(request: Request, error: Any) -> Response:
    """Answer what methods there are: that is what OPTIONS asks for, and an error to all others."""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=error.headers)
    detail = f"this method is not allowed here: use {error.headers['Allow']}"
    return error_response(_path(request), 405, detail, error.headers)


def _invalid(request: Request, error: Any) -> JSONResponse:
    """Name each field of a query or a body that is wrong."""

    def problem(item: dict[str, Any]) -> str:
        name = ".".join(map(str, item["loc"][1:])) or "body"
        if item["type"] == "extra_forbidden":
            return f"there is no option {name}: use {', '.join(schemas.CaptionQuery.model_fields)}"
        return f"{name} {str(item['input'])[:40]!r}: {item['msg']}"

    return error_response(_path(request), 422, "; ".join(map(problem, error.errors())))


async def _unless_disconnected(request: Request, results: asyncio.Future[list[T]]) -> list[T]:
    """Wait for results; cancel them if the client disconnects."""

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    disconnect = asyncio.create_task(disconnected())
    try:
        await asyncio.wait((results, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if not results.done():
            raise HTTPException(499, "the client disconnected")
        return results.result()
    finally:
        disconnect.cancel()
        results.cancel()
        await asyncio.gather(results, return_exceptions=True)  # asyncio would log that nobody has seen the cancellation
