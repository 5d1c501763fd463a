"""The routes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
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
from looksay.server.batching import Batcher, Busy
from looksay.server.error_responses import busy, mistake
from looksay.server.middleware import CAPTIONS, Guard
from looksay.server.prometheus import Metrics
from looksay.server.schemas import Allowed, Answer, Health, Image, Model, Models, Options, Problem, Said
from looksay.server.settings import Limits

PAGE = Path(__file__).parent / "page"

_ACCEPTED = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {"images": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            "required": ["images"],
        }
    },
    "image/*": {"schema": {"type": "string", "format": "binary"}},
}
_PROBLEMS: dict[int | str, dict[str, object]] = {
    400: {"model": Problem, "description": "The upload is broken, or has no image."},
    401: {"model": Problem, "description": "The token is missing or wrong."},
    408: {"model": Problem, "description": "The upload took too long."},
    413: {"model": Problem, "description": "The upload is too large, or has too many images."},
    415: {"model": Problem, "description": "The upload is neither a form nor an image."},
    422: {"model": Answer | Problem, "description": "An option is out of its range, or no image could be read."},
    503: {"model": Problem, "description": "The server is busy; Retry-After says when to try again."},
    504: {"model": Problem, "description": "Captioning took too long."},
}


_DECODERS = 2  # threads: enough for one that captions, and a large image takes half a gigabyte while it is read
_SCANS = 200  # of a JPEG; people's have 10, and each takes as long as decoding it anew
_FIELDS = 20  # of a form, to be told that there should be none


@dataclass(frozen=True)
class _Upload:
    name: str
    content: bytes


class _InMemory(MultiPartParser):
    """A form whose files are never written to disk: their size has been limited before."""

    spool_max_size = 2**62


def create(captioner: Captioner, limits: Limits | None = None) -> Guard:
    """Make the server's application.

    Parameters
    ----------
    captioner : Captioner
    limits : Limits, optional

    Returns
    -------
    Guard
        An ASGI application; run it with uvicorn.
    """
    limits = limits or Limits()
    metrics = Metrics()
    server = _Server(captioner, limits, metrics)
    app = FastAPI(
        title="looksay",
        version=looksay.__version__,
        description="Says what images show.",
        lifespan=server.lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(Exception, mistake)
    app.mount("/page", StaticFiles(directory=PAGE), "page")
    for path, file in (("/", "index.html"), ("/docs", "docs.html")):
        app.add_route(path, partial(_file, PAGE / file), ["GET", "HEAD"], include_in_schema=False)
    app.add_api_route(
        CAPTIONS,
        server.captions,
        methods=["POST"],
        response_model=Answer,
        responses=_PROBLEMS,
        openapi_extra={"requestBody": {"required": True, "content": _ACCEPTED}},
    )
    app.add_api_route("/v1/models", server.models)
    app.add_api_route("/healthz", server.healthz)
    app.add_api_route("/readyz", server.readyz, responses={503: {"model": Health}})
    app.add_api_route("/metrics", server.metrics_text, response_class=Response)
    return Guard(app, limits, metrics)


class _Server:
    """The routes and what they share."""

    def __init__(self, captioner: Captioner, limits: Limits, metrics: Metrics) -> None:
        self._captioner = captioner
        self._limits = limits
        self._metrics = metrics
        self._decoders = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decoder")

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Work on batches while the server runs."""
        self._batcher = Batcher(self._captioner, self._limits, self._metrics)
        self._working = asyncio.create_task(self._batcher.run())
        yield
        self._working.cancel()

    async def captions(self, request: Request, options: Annotated[Options, Query()]) -> Response:
        """Caption images: a form of one or many files, or one image as it is."""
        changes = options.changes()
        if changes.get("temperature"):
            changes.setdefault("seed", secrets.randbelow(2**31))
        try:
            search = self._captioner.options(changes)
        except OptionError as error:
            raise HTTPException(422, str(error)) from error
        uploads = await self._uploads(request)
        request.scope["looksay.images"] = len(uploads)
        started = time.perf_counter()
        try:
            with self._batcher.places(len(uploads)):
                work = asyncio.gather(*(self._image(upload, search, options.attention) for upload in uploads))
                images = await _unless_gone(request, work)
        except Busy:
            return busy()
        answer = Answer(model=self._captioner.name, seconds=round(time.perf_counter() - started, 4), images=images)
        status = 422 if all(image.error for image in images) else 200
        # Attention of many captions is long to write: not in the loop, which others wait for.
        return await asyncio.to_thread(lambda: JSONResponse(answer.model_dump(exclude_none=True), status))

    async def models(self) -> Models:
        """Tell which models caption."""
        limits = Allowed(bytes=self._limits.bytes, pixels=self._limits.pixels, images=self._limits.images)
        models = [Model.of(one.spec, len(one.vocabulary)) for one in self._captioner.bundles]
        return Models(models=models, limits=limits)

    async def healthz(self) -> Health:
        """Tell that the server runs."""
        return Health(status="ok")

    async def readyz(self, response: Response) -> Health:
        """Tell whether the server can caption."""
        ready = not self._working.done()
        response.status_code = 200 if ready else 503
        return Health(status="ready" if ready else "not ready")

    async def metrics_text(self) -> Response:
        """Return counters for Prometheus."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _uploads(self, request: Request) -> list[_Upload]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if kind == "multipart/form-data":
                return await self._form(request)
            if not kind.startswith("image/") and kind not in ("", "application/octet-stream"):
                raise HTTPException(415, f"send multipart/form-data or an image (image/*), not {kind}")
            body = await request.body()
        except ClientDisconnect as error:
            raise HTTPException(400, "the upload has no end") from error
        if not body:
            raise HTTPException(400, "the upload is empty: send an image")
        return [_Upload("", body)]

    async def _form(self, request: Request) -> list[_Upload]:
        try:
            _, given = parse_options_header(request.headers["content-type"])
            only = Headers({"content-type": f'multipart/form-data; boundary="{given[b"boundary"].decode("latin-1")}"'})
            form = await _InMemory(only, request.stream(), max_files=self._limits.images, max_fields=_FIELDS).parse()
        except (MultiPartException, KeyError) as error:
            broken = str(getattr(error, "message", "")) or "it has no boundary"
            status = 413 if broken.startswith("Too many files") else 400
            raise HTTPException(status, f"the form cannot be read: {broken}") from error
        if fields := [name for name, value in form.multi_items() if not isinstance(value, UploadFile)]:
            raise HTTPException(
                400, f"{fields[0]} is no file; options go into the address, as in {CAPTIONS}?num_beams=5"
            )
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not files:
            raise HTTPException(400, "the form has no file: send images as images")
        return [_Upload(file.filename or "", await file.read()) for file in files]

    async def _image(self, upload: _Upload, options: DecodingOptions, attention: bool) -> Image:
        """Read and caption an image; one that cannot be read spoils no other."""
        started = time.perf_counter()
        reading = self._decoders.submit(self._read, upload)
        try:
            prepared, size = await asyncio.wrap_future(reading)
        except ImageError as error:
            self._metrics.images.labels("failed").inc()
            return Image(name=upload.name, error=str(error).removeprefix("<bytes>: "))
        except asyncio.CancelledError:
            if reading.running():  # a thread cannot be stopped: the image keeps its place till it is read
                self._batcher.linger(reading)
            raise
        found = await self._batcher.say(prepared, options, attention=attention)
        self._metrics.captioned()
        return Image(
            name=upload.name,
            width=size[0],
            height=size[1],
            captions=[Said.of(caption) for caption in found],
            seconds=round(time.perf_counter() - started, 4),
        )

    def _read(self, upload: _Upload) -> tuple[Prepared, tuple[int, int]]:
        if upload.content.startswith(b"\xff\xd8") and upload.content.count(b"\xff\xda") > _SCANS:
            raise ImageError(f"a JPEG of more than {_SCANS} scans takes too long to decode")
        image = images.read(upload.content, self._limits.pixels)
        return self._captioner.prepare(image), image.size


async def _file(file: Path, _: Request) -> FileResponse:
    return FileResponse(file)


async def _unless_gone(request: Request, work: asyncio.Future[list[Image]]) -> list[Image]:
    """Wait for work, and give it up if the client goes away."""
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise HTTPException(499, "the client went away")
        return work.result()
    finally:
        gone.cancel()
        work.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
