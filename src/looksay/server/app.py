"""The routes of the HTTP API."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

import looksay
from looksay.captioner import Captioner
from looksay.decoding.options import DecodingOptions
from looksay.errors import ImageError, OptionError
from looksay.server import schemas
from looksay.server.batching import Batcher, QueueFull, Seconds
from looksay.server.middleware import CAPTIONS, LimitsMiddleware, busy_response, error_response
from looksay.server.prometheus import Metrics
from looksay.server.schemas import ImageResult
from looksay.server.settings import ServerSettings
from looksay.server.uploads import read_uploads

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
    app.add_exception_handler(RequestValidationError, _invalid_query)
    app.add_exception_handler(OptionError, lambda _, error: error_response(422, str(error)))
    app.add_exception_handler(QueueFull, lambda *_: busy_response())
    app.add_exception_handler(Exception, lambda *_: error_response(500, "internal server error: see the server's log"))
    app.add_exception_handler(405, _method_not_allowed)
    app.mount("/page", _PAGE_FILES, "page")
    for path, file in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_route(path, _page(file), include_in_schema=False)
    errors: dict[int | str, dict[str, object]] = {
        status: {"model": schemas.ErrorResponse, "description": description} for status, description in _ERRORS.items()
    }
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
    app.add_api_route("/healthz", routes.healthz)
    app.add_api_route("/readyz", routes.readyz, responses={503: {"model": schemas.Status}})
    app.add_api_route("/metrics", routes.metrics, response_class=Response)
    app.openapi()  # is kept; later, it would describe each GET once more as HEAD
    for route in app.routes:
        if isinstance(route, APIRoute) and route.methods == {"GET"}:
            route.methods.add("HEAD")
    return LimitsMiddleware(app, settings, metrics)


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
        if overrides.get("temperature"):
            overrides.setdefault("seed", secrets.randbelow(2**31))
        options = self._captioner.options(overrides)
        uploads = await read_uploads(request, self._settings.max_images)
        request.scope["looksay.images"] = len(uploads)
        start = time.perf_counter()
        with self._batcher.reserve(len(uploads)):
            results = asyncio.gather(*(self._caption(*upload, options, query.attention) for upload in uploads))
            outcomes = await _unless_disconnected(request, results)
        images = [image for image, _ in outcomes]
        answer = schemas.CaptionResponse(model=self._captioner.name, seconds=time.perf_counter() - start, images=images)
        status = 422 if all(image.error for image in images) else 200
        slowest = max((seconds for _, seconds in outcomes), key=lambda seconds: sum(seconds.values()))
        timing = ", ".join(f"{step};dur={1000 * seconds:.1f}" for step, seconds in slowest.items())
        # Attention maps of many captions take long to serialise; in a thread, the event loop serves others meanwhile.
        return await asyncio.to_thread(
            lambda: JSONResponse(answer.model_dump(exclude_none=True), status, {"Server-Timing": timing})
        )

    async def models(self) -> schemas.ModelsResponse:
        """Describe the model, and return the limits of a request."""
        models = [
            schemas.ModelInfo(
                **bundle.spec.to_json(), image_size=bundle.spec.image.size, vocabulary_size=len(bundle.vocabulary)
            )
            for bundle in self._captioner.bundles
        ]
        return schemas.ModelsResponse(models=models, limits=schemas.RequestLimits.model_validate(self._settings))

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


def _method_not_allowed(request: Request, error: Any) -> Response:
    """Answer what methods there are: that is what OPTIONS asks for, and an error to all others."""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=error.headers)
    return error_response(405, f"this method is not allowed here: use {error.headers['Allow']}", error.headers)


def _invalid_query(_: Request, error: Any) -> JSONResponse:
    problems = [f"{item['loc'][1]} {str(item['input'])[:40]!r}: {item['msg']}" for item in error.errors()]
    return error_response(422, "; ".join(problems))


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
