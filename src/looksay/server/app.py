"""The routes of the HTTP API."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

import looksay
from looksay import images
from looksay.captioner import Captioner, Prepared
from looksay.decoding.options import DecodingOptions
from looksay.errors import ImageError, OptionError
from looksay.server import schemas
from looksay.server.batching import Batcher, QueueFull
from looksay.server.middleware import CAPTIONS, LimitsMiddleware, busy_response, error_response
from looksay.server.prometheus import Metrics
from looksay.server.schemas import ImageResult
from looksay.server.settings import MAX_FORM_FIELDS, MAX_JPEG_SCANS, READER_THREADS, ServerSettings

PAGE = Path(__file__).parent / "page"

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

Upload = tuple[str, bytes]  # file name and content


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
    app.mount("/page", StaticFiles(directory=PAGE), "page")
    app.add_route("/", lambda _: FileResponse(PAGE / "index.html"), ["GET", "HEAD"], include_in_schema=False)
    app.add_route("/docs", lambda _: FileResponse(PAGE / "docs.html"), ["GET", "HEAD"], include_in_schema=False)
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
    return LimitsMiddleware(app, settings, metrics)


class _Routes:
    def __init__(self, captioner: Captioner, settings: ServerSettings, metrics: Metrics) -> None:
        self._captioner, self._settings, self._metrics = captioner, settings, metrics
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="reader")

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self._batcher = Batcher(self._captioner, self._settings, self._metrics)
        self._batcher_task = asyncio.create_task(self._batcher.run())
        yield
        self._batcher_task.cancel()

    async def captions(self, request: Request, query: Annotated[schemas.CaptionQuery, Query()]) -> Response:
        """Generate captions for the files of a form, or for one image as the request body."""
        overrides = query.model_dump(exclude={"attention"}, exclude_none=True)
        if overrides.get("temperature"):
            overrides.setdefault("seed", secrets.randbelow(2**31))
        options = self._captioner.options(overrides)
        uploads = await self._uploads(request)
        request.scope["looksay.images"] = len(uploads)
        start = time.perf_counter()
        with self._batcher.reserve(len(uploads)):
            results = asyncio.gather(*(self._caption(*upload, options, query.attention) for upload in uploads))
            images = await _unless_disconnected(request, results)
        answer = schemas.CaptionResponse(model=self._captioner.name, seconds=time.perf_counter() - start, images=images)
        status = 422 if all(image.error for image in images) else 200
        # Attention maps of many captions take long to serialise; in a thread, the event loop serves others meanwhile.
        return await asyncio.to_thread(lambda: JSONResponse(answer.model_dump(exclude_none=True), status))

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
        is_ready = not self._batcher_task.done()
        response.status_code = 200 if is_ready else 503
        return schemas.Status(status="ready" if is_ready else "not ready")

    async def metrics(self) -> Response:
        """Return metrics in Prometheus' text format."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _uploads(self, request: Request) -> list[Upload]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind == "multipart/form-data":
                return await self._files(request)
            if not kind.startswith("image/") and kind not in ("", "application/octet-stream"):
                raise HTTPException(415, f"content type {kind} is not supported: send multipart/form-data or image/*")
            body = await request.body()
        except ClientDisconnect as error:
            raise HTTPException(400, "the upload is incomplete") from error
        if not body:
            raise HTTPException(400, "the upload is empty: send an image")
        return [("", body)]

    async def _files(self, request: Request) -> list[Upload]:
        try:
            # Other parameters are dropped: the parser would decode file names by any charset that a client names.
            _, parameters = parse_options_header(request.headers["content-type"])
            boundary = parameters[b"boundary"].decode("latin-1")
            headers = Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'})
            max_files = self._settings.max_images
            parser = MultiPartParser(headers, request.stream(), max_files=max_files, max_fields=MAX_FORM_FIELDS)
            parser.spool_max_size = 2**62  # files stay in memory, never on disk; the middleware limits their size
            form = await parser.parse()
        except (MultiPartException, KeyError) as error:
            reason = str(getattr(error, "message", "")) or "it has no boundary"
            status = 413 if reason.startswith("Too many files") else 400
            raise HTTPException(status, f"the form cannot be read: {reason}") from error
        files = []
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                raise HTTPException(400, f"{name} is not a file: put options into the URL, {CAPTIONS}?num_beams=5")
            files.append((value.filename or "", await value.read()))
        if not files:
            raise HTTPException(400, "the form has no file: send each image in a field named images")
        return files

    async def _caption(self, name: str, content: bytes, options: DecodingOptions, attention: bool) -> ImageResult:
        """Decode and caption an image; an unreadable one becomes a result with its error."""
        start = time.perf_counter()
        reading = self._readers.submit(self._prepare, content)
        try:
            prepared, (width, height) = await asyncio.wrap_future(reading)
        except ImageError as error:
            self._metrics.images.labels("failed").inc()
            return ImageResult(name=name, error=str(error).removeprefix("<bytes>: "))
        except asyncio.CancelledError:
            if reading.running():  # a thread cannot be cancelled
                self._batcher.reserve_until_read(reading)
            raise
        captions = await self._batcher.caption(prepared, options, attention=attention)
        self._metrics.count_captioned()
        results = [schemas.CaptionResult.model_validate(caption) for caption in captions]
        seconds = time.perf_counter() - start
        return ImageResult(name=name, width=width, height=height, captions=results, seconds=seconds)

    def _prepare(self, content: bytes) -> tuple[Prepared, tuple[int, int]]:
        if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > MAX_JPEG_SCANS:
            raise ImageError(f"the JPEG has more than {MAX_JPEG_SCANS} scans and would take too long to decode")
        image = images.read(content, self._settings.max_pixels)
        return self._captioner.prepare(image), image.size


def _invalid_query(_: Request, error: Any) -> JSONResponse:
    problems = [f"{item['loc'][1]} {str(item['input'])[:40]!r}: {item['msg']}" for item in error.errors()]
    return error_response(422, "; ".join(problems))


async def _unless_disconnected(request: Request, results: asyncio.Future[list[ImageResult]]) -> list[ImageResult]:
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
